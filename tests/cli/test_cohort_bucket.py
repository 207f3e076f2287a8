"""A bucket that another program filled: listed by the heads of its objects, and copied into the archive."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet
import pytest
from pydicom.dataset import Dataset
from tests.builders import Made, changed, ct_series, mr_series
from tests.cli.conftest import Run
from tests.servers.s3 import BUCKET, S3, Faulty

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

HEADS = 1 << 14  # bytes that are enough of each object


@pytest.fixture
def counted(bucket: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """Let the product go through a server that counts bytes."""
    server = Faulty(bucket.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    yield server
    server.close()


@pytest.fixture
def filled(bucket: S3) -> dict[Resource, list[Made]]:
    """Fill a bucket with two series in folders, and one among the files of others; return them."""
    large = {"rows": 256, "columns": 256, "StudyInstanceUID": "2.25.1", "PatientID": "Ä1"}
    series = {
        "a/1": ct_series(3, SeriesInstanceUID="2.25.11", **large),
        "a/2": ct_series(2, SeriesInstanceUID="2.25.12", **large),
        "flat": mr_series(2, SeriesInstanceUID="2.25.21", StudyInstanceUID="2.25.2", PatientID="P2"),
    }
    references = [Dataset() for _ in range(HEADS // 30)]
    for number, one in enumerate(references):
        one.ReferencedSOPInstanceUID = f"2.25.123456789.{number}"
    series["a/1"][0] = changed(series["a/1"][0], ReferencedImageSequence=references)  # the UIDs lie behind it
    for folder, made in series.items():
        for number, one in enumerate(made):
            bucket.client.put_object(Bucket=BUCKET, Key=f"some/{folder}/{number}", Body=one.data)
    again = series["a/2"][0].data
    others = {
        "some/a/": b"",
        "some/flat/notes.txt": b"no image",
        "some/a/2/again": again,
        "elsewhere/0": again,
    }
    for key, data in others.items():
        bucket.client.put_object(Bucket=BUCKET, Key=key, Body=data)
    return {Resource(made[0].study, made[0].series): made for made in series.values()}


@pytest.mark.slow
def test_its_series_are_found_by_their_heads_and_come_whole(
    run: Run, filled: dict[Resource, list[Made]], bucket: S3, counted: Faulty, settings: Settings
) -> None:
    made = run("cohort", "make", "c", "--from", f"s3://{BUCKET}/some", "--json")
    assert made.code == 3, made.err
    assert made.json["problems"] == [f"s3://{BUCKET}/some/flat/notes.txt is not a DICOM instance."]
    assert made.json["series"] == 3
    rows = pyarrow.parquet.read_table(made.json["file"]).to_pylist()
    assert {row["SeriesInstanceUID"]: (row["PatientID"], row["Modality"], row["Prefix"]) for row in rows} == {
        "2.25.11": ("Ä1", "CT", "some/a/1"),
        "2.25.12": ("Ä1", "CT", "some/a/2"),
        "2.25.21": ("P2", "MR", "some/flat"),
    }
    assert [row["NumberOfSeriesRelatedInstances"] for row in rows] == [3, 2, 2]
    everything = sum(len(one.data) for series in filled.values() for one in series)
    assert counted.sent < 8 * HEADS + (HEADS << 2) + 20_000 < everything / 2

    bucket.client.put_object(
        Bucket=BUCKET, Key="some/a/2/1", Body=filled[Resource("2.25.1", "2.25.12")][1].data[:-9]
    )
    pulled = run("cohort", "pull", "c", "--json")
    assert pulled.code == 3, pulled.err
    (failure,) = pulled.json["failures"]
    assert failure["resource"] == "2.25.1/2.25.12"
    assert "some/a/2/1: The DICOM file is cut off" in failure["reason"]
    bucket.client.put_object(
        Bucket=BUCKET, Key="some/a/2/1", Body=filled[Resource("2.25.1", "2.25.12")][1].data
    )
    again = run("cohort", "pull", "c", "--json")
    assert (again.code, again.json["now"]) == (0, 1)
    assert again.json["remarks"] == []

    other = changed(filled[Resource("2.25.2", "2.25.21")][0], PatientID="another")
    bucket.client.put_object(Bucket=BUCKET, Key="some/flat/other", Body=other.data)
    assert run("cohort", "make", "d", "--from", f"s3://{BUCKET}/some/flat", "--json").code == 3
    told = run("cohort", "pull", "d", "--json")
    assert told.code == 0
    (remark,) = told.json["remarks"]
    assert "some/flat/other has the UID of another file" in remark["reason"]
    assert other.instance in remark["reason"]
    with Archive.open(settings) as archive:
        for series, instances in filled.items():
            stored = {one.resource.instance: one.path.read_bytes() for one in archive.instances(series)}
            assert stored == {one.instance: one.data for one in instances}


@pytest.mark.slow
def test_a_bucket_that_cannot_be_used_is_a_sentence(
    run: Run, bucket: S3, counted: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(url: str, *more: str) -> tuple[int, str]:
        ran = run("cohort", "make", "c", "--from", url, *more)
        return ran.code, ran.err

    assert made("s3://no-such-bucket/a")[0] == 1
    assert "there is no bucket s3://no-such-bucket" in made("s3://no-such-bucket/a")[1]
    assert "holds no DICOM instance" in made(f"s3://{BUCKET}/nothing")[1]
    code, sentence = made("s3://key:secret@bucket/a")
    assert code == 2
    assert "secret" not in sentence
    assert made(f"s3://{BUCKET}", "--server", "x")[0] == 2
    counted.left, counted.status, counted.code = -1, 403, "SignatureDoesNotMatch"
    code, sentence = made(f"s3://{BUCKET}/a")
    assert code == 1
    assert "refused the credentials" in sentence
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "There are no credentials" in made(f"s3://{BUCKET}/a")[1]
    assert run("cohort", "list").out == ""
