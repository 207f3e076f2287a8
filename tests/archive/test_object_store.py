"""An archive in an object store: the same as one in a folder, judged by what boto3 and pydicom read."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from dicomdock.archive import Archive
from dicomdock.archive.storage.object_store import ObjectStore
from dicomdock.cohort.report import write as write_report
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from tests.archive.conftest import part
from tests.builders import ct_series, mr_series, write
from tests.servers.s3 import BUCKET, S3


@pytest.mark.slow
def test_what_is_imported_is_in_the_bucket_and_comes_back(
    stored_settings: Settings, bucket: S3, tmp_path: Path
) -> None:
    series, other = ct_series(5), mr_series(2)
    write(tmp_path / "in", [*series, *other])
    with Archive.open(stored_settings) as archive:
        *_, report = archive.import_paths([tmp_path / "in"])
        assert (report.stored, report.failed) == (7, ())
        objects = bucket.objects("some/prefix/")
        datasets = {key: pydicom.dcmread(io.BytesIO(bucket.read(key))) for key in objects}
        wanted = {str(one.dataset.SOPInstanceUID): one.data for one in (*series, *other)}
        assert {str(one.SOPInstanceUID) for one in datasets.values()} == set(wanted)
        for key, dataset in datasets.items():
            data = bucket.read(key)
            assert data == wanted[str(dataset.SOPInstanceUID)]
            names = [
                hashlib.sha256(str(uid).encode()).hexdigest()[:32]
                for uid in (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
            ]
            assert key == f"some/prefix/{'/'.join(names)}.{hashlib.sha256(data).hexdigest()}.dcm"
    for copy in (stored_settings.archive / "cache").rglob("*.dcm"):
        copy.unlink()
    with Archive.open(stored_settings) as archive:
        matches = [one for page in archive.search(Query("studies")) for one in page.matches]
        assert len(matches) == 2
        study = Resource(series[0].study)
        assert [b"".join(one.chunks()) for one in archive.retrieve(study)] == [one.data for one in series]
        assert archive.present(study) == {one.instance for one in series}
        exported = list(archive.export([study], tmp_path / "out"))
        assert {(tmp_path / "out" / one.path).read_bytes() for one in exported} == {
            one.data for one in series
        }
        assert Counter(one.status for one in archive.verify()) == {"intact": 7}
        assert archive.remove(study) == 5
        assert len(bucket.objects()) == 2
        assert Counter(one.status for one in archive.verify()) == {"intact": 2}


@pytest.mark.slow
def test_a_removed_instance_can_come_again(stored_settings: Settings, bucket: S3) -> None:
    (one,) = ct_series(1)
    with Archive.open(stored_settings) as archive:
        for _ in range(2):
            with archive.writer() as writer:
                assert writer.add(part(one.data)).status == "stored"
            with archive.writer() as writer:
                assert writer.add(part(one.data)).status == "identical"
            assert len(bucket.objects()) == 1
            archive.remove(one.resource)
            assert bucket.objects() == {}


@pytest.mark.slow
def test_what_stands_for_a_folder_is_not_a_file(stored_settings: Settings, bucket: S3) -> None:
    """Consoles make such objects, and JuiceFS keeps them for folders whose last object is deleted."""
    (one,) = ct_series(1)
    with Archive.open(stored_settings) as archive:
        with archive.writer() as writer:
            writer.add(part(one.data))
        (key,) = bucket.objects()
        folder = key.rpartition("/")[0]
        for marker in ("some/prefix/", "some/prefix/new/", f"{folder}/", f"{folder.rpartition('/')[0]}/"):
            bucket.client.put_object(Bucket=BUCKET, Key=marker)
        assert Counter(one.status for one in archive.verify()) == {"intact": 1}
        archive.remove(one.resource)
        assert list(archive.verify()) == []


@pytest.mark.slow
def test_the_report_of_a_cohort_shows_images_that_are_not_on_this_machine(
    stored_settings: Settings, bucket: S3, tmp_path: Path
) -> None:
    (one,) = ct_series(1)
    with Archive.open(stored_settings) as archive:
        with archive.writer() as writer:
            writer.add(part(one.data))
        shutil.rmtree(stored_settings.archive / "cache")
        write_report(tmp_path / "report.html", "chest", [Item(Resource(one.study, one.series))], [], archive)
    assert "data:image/jpeg;base64," in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_nothing_is_downloaded_before_it_is_wanted(
    stored_settings: Settings, bucket: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = ct_series(40)
    study = Resource(series[0].study)
    fetched: list[str] = []
    fetch = ObjectStore.fetch

    def counted(self: ObjectStore, key: str) -> Path:
        fetched.append(key)
        return fetch(self, key)

    monkeypatch.setattr(ObjectStore, "fetch", counted)
    with Archive.open(stored_settings) as archive:
        with archive.writer() as writer:
            for one in series:
                writer.add(part(one.data))
        shutil.rmtree(stored_settings.archive / "cache")
        parts = [archive.part(one) for one in archive.instances(study)]
        assert archive.present(study) == {one.instance for one in series}
        assert fetched == []
        assert parts[3].intact is not None
        assert parts[3].intact()
        assert len(fetched) == 1
        assert b"".join(parts[3].chunks()) == series[3].data
        shutil.rmtree(stored_settings.archive / "cache")
        some = archive.retrieve(study)
        assert b"".join(next(some).chunks()) == series[0].data
        some.close()  # type: ignore[attr-defined]
        assert len(fetched) < 40  # no more than some ahead
        assert [path.read_bytes() for _, path in archive.files(study)] == [one.data for one in series]
