"""An object store that is gone, refuses, is busy or has lost something: a sentence each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.storage import object_client, object_store
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, InvalidInput
from tests.archive.conftest import part
from tests.builders import Made, ct_series, write
from tests.servers import s3
from tests.servers.s3 import S3, Faulty

URL = f"s3://{s3.BUCKET}/faults"


@pytest.fixture
def one_store(settings: Settings, bucket: S3) -> Settings:
    return replace(settings, object_store=URL)


@pytest.fixture
def faulty(one_store: Settings, bucket: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """Yield a server that fails for some requests, in place of the real one."""
    server = Faulty(bucket.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setattr(object_client, "LONGEST_PAUSE", 0.2)
    yield server
    server.close()


def add(archive: Archive, instances: list[Made]) -> None:
    with archive.writer(origin="pacs") as writer:
        for one in instances:
            writer.add(part(one.data))


def empty_cache(settings: Settings) -> None:
    for copy in (settings.archive / "cache").rglob("*.dcm"):
        copy.unlink()


@pytest.mark.slow
def test_a_bucket_that_is_not_there(settings: Settings, bucket: S3) -> None:
    with pytest.raises(ArchiveError, match=r"there is no bucket s3://other-bucket\."):
        Archive.open(replace(settings, object_store="s3://other-bucket/prefix"))


@pytest.mark.slow
@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "AccessDenied", "InvalidAccessKeyId"])
def test_credentials_that_are_refused(
    one_store: Settings, faulty: Faulty, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    (one,) = ct_series(1)
    with Archive.open(one_store) as archive:
        faulty.left, faulty.status, faulty.code = -1, 403, code
        with pytest.raises(ArchiveError, match=rf"refused the credentials \({code}\)") as raised:
            add(archive, [one])
        faulty.left = 0
        assert archive.summary().instances == 0
        add(archive, [one])
        assert archive.summary().instances == 1
    for text in (str(raised.value), repr(raised.value.__cause__), caplog.text):
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in text


@pytest.mark.slow
def test_no_credentials(one_store: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(ArchiveError, match="There are no credentials"):
        Archive.open(one_store)
    (tmp_path / "credentials").write_text(
        "[work]\naws_access_key_id = test\naws_secret_access_key = from-a-profile\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "work")
    with Archive.open(one_store) as archive:
        add(archive, ct_series(1))
        assert archive.summary().instances == 1
    monkeypatch.setenv("AWS_PROFILE", "another")
    with pytest.raises(ArchiveError, match=r"The profile of AWS cannot be used: ProfileNotFound\."):
        Archive.open(replace(one_store, archive=tmp_path / "new"))


@pytest.mark.slow
def test_a_store_that_is_busy_is_asked_again(one_store: Settings, faulty: Faulty) -> None:
    series = ct_series(6)
    with Archive.open(one_store) as archive:
        faulty.left = 20
        add(archive, series)
        assert faulty.left == 0
        empty_cache(one_store)
        faulty.left = 5
        bodies = [b"".join(one.chunks()) for one in archive.retrieve(Resource(series[0].study))]
        assert bodies == [one.data for one in series]
        assert Counter(one.status for one in archive.verify()) == {"intact": 6}


@pytest.mark.slow
def test_a_store_that_stays_busy(
    one_store: Settings, faulty: Faulty, bucket: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_client, "RETRY_SECONDS", 0.3)
    first, second = ct_series(2), ct_series(2)
    with Archive.open(one_store) as archive:
        add(archive, first)
        faulty.left = -1
        with pytest.raises(ArchiveError, match=r"answered 503 SlowDown\."):
            add(archive, second)
        assert archive.summary().instances == 2
    faulty.left = 0
    with Archive.open(one_store) as archive:  # what the failed commit may have left is deleted
        assert len(bucket.objects()) == 2
        add(archive, second)
        assert archive.summary().instances == 4


@pytest.mark.slow
def test_what_cannot_be_deleted_now_is_deleted_later(
    one_store: Settings, faulty: Faulty, bucket: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "IMPATIENT", 0.3)
    series, other = ct_series(2), ct_series(1)
    with Archive.open(one_store) as archive:
        add(archive, [*series, *other])
        faulty.left, faulty.methods = -1, frozenset({"POST", "DELETE"})
        assert archive.remove(Resource(series[0].study)) == 2
    with Archive.open(one_store) as archive:
        assert archive.summary().instances == 1
        assert len(bucket.objects()) == 3
        add(archive, series[:1])  # one of them comes again
        faulty.left = 0
    with Archive.open(one_store) as archive:
        assert len(bucket.objects()) == 2
        assert Counter(one.status for one in archive.verify()) == {"intact": 2}


@pytest.mark.slow
def test_a_store_that_cannot_be_reached(
    one_store: Settings, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_client, "RETRY_SECONDS", 0.3)
    faulty.close()
    with pytest.raises(ArchiveError, match="cannot be reached"):
        Archive.open(one_store)


@pytest.mark.slow
def test_objects_that_vanished_or_changed(one_store: Settings, bucket: S3, tmp_path: Path) -> None:
    series = ct_series(4)
    study = Resource(series[0].study)
    with Archive.open(one_store) as archive:
        add(archive, series)
        keys = [f"faults/{one.key}" for one in archive.instances(study)]
        bucket.client.delete_object(Bucket=s3.BUCKET, Key=keys[0])
        bucket.client.put_object(Bucket=s3.BUCKET, Key=keys[1], Body=series[1].data[:-1])
        bucket.client.put_object(Bucket=s3.BUCKET, Key=keys[2], Body=series[2].data[:-1] + b"\xee")
        bucket.client.put_object(Bucket=s3.BUCKET, Key="faults/note.txt", Body=b"foreign")
    empty_cache(one_store)
    with Archive.open(one_store) as archive:
        assert archive.present(study) == {series[2].instance, series[3].instance}
        statuses = {one.path: one.status for one in archive.verify()}
        assert statuses == {
            f"s3://{s3.BUCKET}/{keys[0]}": "missing",
            f"s3://{s3.BUCKET}/{keys[1]}": "changed",
            f"s3://{s3.BUCKET}/{keys[2]}": "changed",
            f"s3://{s3.BUCKET}/{keys[3]}": "intact",
            f"{URL}/note.txt": "stray",
        }
        bodies: list[bytes] = []
        with pytest.raises(ArchiveError, match="3 instances are damaged or missing"):
            bodies += [b"".join(one.chunks()) for one in archive.retrieve(study)]
        assert len(list((tmp_path / "out").rglob("*.dcm"))) == 0
        with pytest.raises(ArchiveError, match="3 instances are damaged or missing"):
            list(archive.export([study], tmp_path / "out"))
        assert [path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")] == [series[3].data]
        with pytest.raises(ArchiveError, match="damaged or missing"):
            assert len(list(archive.metadata(study))) == 1
        write(tmp_path / "in", series)
        list(archive.import_paths([tmp_path / "in"]))
        assert Counter(one.status for one in archive.verify()) == {"intact": 4, "stray": 1}


@pytest.mark.slow
def test_the_cache_is_bounded(one_store: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomdock.archive.storage.object_cache.IN_USE", 0.0)
    monkeypatch.setattr(object_store, "AHEAD", 0)
    series = ct_series(12, rows=64, columns=64)
    size = len(series[0].data)
    settings = replace(one_store, cache_limit=4 * size)
    with Archive.open(settings) as archive:
        for one in series:
            add(archive, [one])
        for _ in range(2):
            for part_ in archive.retrieve(Resource(series[0].study)):
                assert part_.path is not None
                assert part_.path.stat().st_size == part_.length
        copies = list((settings.archive / "cache").rglob("*.dcm"))
        assert 1 <= len(copies) <= 4


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://host/x", "begins with s3://, gs://, az://"),
        ("s3://", "names no bucket"),
        ("s3://key:SECRETWORD@bucket/x", "credentials belong in the environment"),
        ("s3://bucket/x?secret=SECRETWORD", "credentials belong in the environment"),
    ],
)
def test_urls_that_cannot_be(settings: Settings, url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as raised:
        settings.change(archive=url)
    assert "SECRETWORD" not in str(raised.value)


def test_the_settings_file_names_the_bucket(settings: Settings) -> None:
    changed = settings.change(archive="s3://bucket//prefix/")
    assert changed.object_store == "s3://bucket/prefix"
    assert changed.archive.is_relative_to(settings.state)
    assert changed.archive_location == "s3://bucket/prefix"
    assert changed.overlaid() == changed
    back = changed.change(archive=settings.archive)
    assert (back.object_store, back.archive) == ("", settings.archive)
    assert back.archive_location == str(settings.archive)
