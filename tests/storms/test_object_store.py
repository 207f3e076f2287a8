"""The process ends while it works on an archive in a bucket: rows and objects agree afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import tomli_w

from dicomdock.archive import Archive
from dicomdock.archive.storage.files import Moment, UploadMoment
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.archive.conftest import new_database, postgresql  # noqa: F401 - fixtures
from tests.servers import s3
from tests.servers.s3 import S3
from tests.storms.kills import digests, kill_after, kill_at, prepare

COMMIT: tuple[tuple[Moment | UploadMoment, int], ...] = (
    ("receive: written", 2),
    ("commit: announced", 1),
    ("upload: announced", 1),
    ("upload: one done", 2),
    ("upload: done", 1),
    ("commit: renamed", 1),
    ("commit: in the journal", 1),
    ("commit: rows inserted", 1),
    ("commit: committed", 1),
)
REMOVE: tuple[tuple[Moment, int], ...] = (
    ("remove: rows removed", 1),
    ("remove: one file removed", 1),
    ("remove: in the journal", 1),
)
_ROWS = """
SELECT study."StudyInstanceUID", series."SeriesInstanceUID", instance."SOPInstanceUID", instance.digest
FROM instance JOIN series ON instance.series = series.id JOIN study ON series.study = study.id
"""


def test_every_moment_of_an_upload_is_tried() -> None:
    assert {moment for moment, _ in COMMIT} >= set(get_args(UploadMoment))


def inspected(home: Path, bucket: S3) -> dict[str, str]:
    """Open the archive, let it recover, and compare its rows with what boto3 finds in the bucket."""
    settings = Settings.load(home)
    prefix = settings.object_store.removeprefix(f"s3://{s3.BUCKET}/")
    with Archive.open(settings) as archive, archive._index.reading() as connection:
        rows = {"/".join(row[:3]): row[3] for row in connection.all(_ROWS)}
        assert connection.column("SELECT path FROM doomed") == []
        if connection.has_table("upload"):
            assert connection.column("SELECT path FROM upload") == []
        assert [path for folder in archive._files.incoming.iterdir() for path in folder.iterdir()] == []
    names = {}
    for name, digest in rows.items():
        hashed = [hashlib.sha256(uid.encode()).hexdigest()[:32] for uid in name.split("/")]
        names[f"{prefix}/{'/'.join(hashed)}.{digest}.dcm"] = digest
    found = {key: hashlib.sha256(bucket.read(key)).hexdigest() for key in bucket.objects(f"{prefix}/")}
    assert found == names
    return rows


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def prepared(request: pytest.FixtureRequest, bucket: S3, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a home whose archive is in the bucket, with files beside it."""
    database = request.getfixturevalue("new_database") if request.param == "postgresql" else lambda: ""

    def make(name: str) -> Path:
        folder = tmp_path / name
        config = folder / "home" / "config"
        config.mkdir(parents=True)
        table = {"archive": f"s3://{s3.BUCKET}/{name}", "database": database(), "free_space_floor": 0}
        (config / "settings.toml").write_text(tomli_w.dumps(table))
        return prepare(folder)

    return make


@pytest.mark.slow
@pytest.mark.parametrize("action", ["add", "replace", "remove"])
def test_nothing_is_lost_and_nothing_left(
    request: pytest.FixtureRequest, prepared: Callable[[str], Path], bucket: S3, action: str
) -> None:
    moments = REMOVE if action == "remove" else COMMIT
    if "postgresql" in request.node.name or action == "replace":  # a part of it differs alone
        moments = moments[2:7:2]
    for number, (moment, times) in enumerate(moments):
        folder = prepared(f"{action}{number}")
        home, study = folder / "home", (folder / "study").read_text()
        before = inspected(home, bucket)
        printed = [line.split() for line in kill_at(home, action, moment, times) if line]
        found = inspected(home, bucket)
        assert {word for line in printed for word in line if "/" in word} <= set(found), moment
        ours = {name: digest for name, digest in found.items() if name.startswith(study)}
        assert set(found.values()) <= {
            one for part in ("new", "old", "corrected") for one in digests(folder / part)
        }
        if action == "remove":
            assert ours in ({}, before)
            assert ["removed"] not in printed or not ours
        else:
            assert set(ours) == set(before)
        with Archive.open(Settings.load(home)) as archive:
            *_, report = archive.import_paths([folder / "new", folder / "old"], replace=True)
            assert report.stored + report.identical == 11
            assert {finding.status for finding in archive.verify()} == {"intact"}


@pytest.mark.slow
def test_a_kill_at_any_time(prepared: Callable[[str], Path], bucket: S3) -> None:
    folder = prepared("any")
    home = folder / "home"
    before = inspected(home, bucket)
    for number in range(4):
        kill_after(home, ("add", "replace")[number % 2], 0.05 + 0.1 * number)
        assert set(before) <= set(inspected(home, bucket))


@pytest.mark.slow
def test_what_another_machine_left_is_deleted_after_a_day(
    prepared: Callable[[str], Path], bucket: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared("machines")
    home = folder / "home"
    before = inspected(home, bucket)
    kill_at(home, "add", "upload: done")
    for path in (home / "state" / "object-stores").glob("*/incoming/*/*"):
        path.unlink()  # as another machine sees it: no session of its own
    left = len(bucket.objects("machines/"))
    settings = Settings.load(home)
    with Archive.open(settings) as archive:
        assert {finding.status for finding in archive.verify()} == {"intact"}  # nor is it adopted
    assert len(bucket.objects("machines/")) == left > len(before)
    monkeypatch.setattr("dicomdock.archive.placement.STALE", -1.0)
    assert inspected(home, bucket) == before


def test_an_upload_that_was_given_up_meanwhile_is_done_again(
    prepared: Callable[[str], Path], bucket: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared("slow")
    settings = Settings.load(folder / "home")
    with Archive.open(settings) as archive:

        def reached(moment: str) -> None:
            if moment == "upload: done":
                with monkeypatch.context() as patched:
                    patched.setattr("dicomdock.archive.placement.STALE", -1.0)
                    with Archive.open(settings):
                        pass
                assert len(bucket.objects("slow/")) == 4

        archive._files.reached = reached  # type: ignore[method-assign,assignment]
        *_, report = archive.import_paths([folder / "new"])
        assert report.stored == 7
        assert {finding.status for finding in archive.verify()} == {"intact"}
        assert len(bucket.objects("slow/")) == 11


@pytest.mark.parametrize("prepared", ["sqlite"], indirect=True)
def test_a_lost_index_is_rebuilt_from_the_bucket(prepared: Callable[[str], Path], bucket: S3) -> None:
    folder = prepared("lost")
    settings = Settings.load(folder / "home")
    before = inspected(folder / "home", bucket)
    study = Resource((folder / "study").read_text())

    def facts() -> list[tuple[object, ...]]:
        with Archive.open(settings) as archive:
            found = archive.instances(study)
            return [(one.resource, one.digest, one.origin, one.pinned, one.sent) for one in found]

    known = facts()
    for path in settings.archive.glob("index.sqlite*"):
        path.unlink()
    assert facts() == known
    assert inspected(folder / "home", bucket) == before
    elsewhere = replace(settings, archive=folder / "elsewhere")  # without the journal
    with Archive.open(elsewhere) as archive:
        assert [one.digest for one in archive.instances(study)] == [one[1] for one in known]
        assert {finding.status for finding in archive.verify()} == {"intact"}
