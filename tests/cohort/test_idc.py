"""Manifests of the Imaging Data Commons, with a table of the form of idc-index-data's."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from dicomdock.cohort.idc import from_manifest
from dicomdock.errors import InvalidInput

UUIDS = [f"085e85b3-3780-47f6-8538-585bcca9533{number}" for number in range(4)]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return a table of two series, with a column more than is read."""
    rows = [
        {
            "collection_id": "4d_lung",
            "PatientID": "P1",
            "SeriesInstanceUID": f"1.2.{number}",
            "StudyInstanceUID": "1.2",
            "Modality": "CT",
            "SeriesDescription": None,
            "instanceCount": 50 + number,
            "crdc_series_uuid": UUIDS[number],
        }
        for number in (1, 2)
    ]
    file = tmp_path / "idc_index.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file


def test_every_way_to_name_a_series_is_read_and_the_unknown_are_named(index, tmp_path):
    manifest = tmp_path / "cart.s5cmd"
    manifest.write_text(
        "# a comment\n\n"
        f"cp s3://idc-open-data/{UUIDS[2]}/* .\n"
        f"cp s3://idc-open-data/{UUIDS[2].upper()}/* ./somewhere\n"
        f"gs://idc-open-data/{UUIDS[1]}/\n"
        f"cp s3://idc-open-data/{UUIDS[3]}/* .\n"
        "rm -rf /\n"
    )
    made = from_manifest(manifest, "idc", index)
    assert [(str(one.resource), one.instances, one.server) for one in made.items.values()] == [
        ("1.2/1.2.2", 52, "idc"),
        ("1.2/1.2.1", 51, "idc"),
    ]
    assert made.duplicates == 1
    assert made.problems == [
        "Line 7 of cart.s5cmd names no series: 'rm -rf /'.",
        f"Line 6 of cart.s5cmd names a series that the table does not have: {UUIDS[3]}.",
    ]


@pytest.mark.parametrize("content", [b"", b"nothing\n", b"\xff\xfe\x00", f"{UUIDS[3]}\n".encode(), None])
def test_a_manifest_without_a_known_series_makes_no_cohort(index, tmp_path, content):
    manifest = tmp_path / "cart.s5cmd"
    if content is not None:
        manifest.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"cart\.s5cmd"):
        from_manifest(manifest, "idc", index)
    with pytest.raises(InvalidInput, match="table of series"):
        manifest.write_text(UUIDS[1])
        from_manifest(manifest, "idc", manifest)
