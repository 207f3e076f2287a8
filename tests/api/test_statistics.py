"""Numbers of segments over the archive's images."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow.parquet
import pytest

from dicomdock import Archive, Resource, Segmentation
from dicomdock.errors import GeometryError, InvalidInput, NotInArchive
from tests.api.conftest import AFFINE, labels, values
from tests.builders import write
from tests.imaging.scans import scan
from tests.imaging.test_statistics import FACTOR, pet


def saved(archive: Archive, series: str, kind: str = "BINARY") -> Resource:
    drawn = Segmentation.from_array(labels(), archive.volume(series), names=["liver", "tumor"])
    return drawn.save(kind=kind)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data")  # of frames of 15 bytes
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "STRUCTURES"])
def test_stored_segments_have_the_numbers_of_numpy(archive, series, kind, tmp_path):
    found = archive.segmentation(saved(archive, series, kind)).statistics()
    assert found.images == Resource.parse(series)
    table = tmp_path / "numbers.csv"
    found.to_csv(table)
    with pytest.raises(InvalidInput, match="exists already"):
        found.to_csv(table)
    with table.open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    found.to_parquet(tmp_path / "numbers.parquet")
    columns = pyarrow.parquet.read_table(tmp_path / "numbers.parquet")
    assert columns.to_pylist() == found.rows()
    assert str(columns.schema.field("suv_peak").type) == "double"  # though there is none
    for number, (row, line) in enumerate(zip(found.rows(), written, strict=True), 1):
        inside = values()[labels() == number]
        assert (row["segment"], row["label"]) == (number, ("liver", "tumor")[number - 1])
        assert (row["voxels"], row["values"]) == (inside.size, inside.size)
        assert row["volume_ml"] == pytest.approx(inside.size * abs(np.linalg.det(AFFINE[:3, :3])) / 1000)
        assert (row["mean"], row["median"]) == pytest.approx((inside.mean(), np.median(inside)))
        assert row["percentile_90"] == pytest.approx(np.percentile(inside, 90))
        assert (row["suv_peak"], line["suv_peak"]) == (None, "")
        assert float(line["mean"]) == row["mean"]


def test_pet_is_measured_in_suv_where_it_can_be(archive, tmp_path):
    datasets = pet()
    again = pet(PatientWeight=None)
    made = []
    for one in (datasets, again):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        for at, dataset in enumerate(one):
            dataset.save_as(folder / f"{at}.dcm", enforce_file_format=True)
        archive.import_paths(folder)
        made.append(f"{one[0].StudyInstanceUID}/{one[0].SeriesInstanceUID}")
    for series, factor, unit in zip(made, (FACTOR, 1), ("g/ml{SUVbw}", "Bq/ml"), strict=True):
        found = archive.segmentation(saved(archive, series)).statistics()
        row = found.rows()[0]
        assert row["unit"] == unit
        inside = archive.volume(series).array[labels() == 1] * factor
        assert (row["mean"], row["maximum"]) == pytest.approx((inside.mean(), inside.max()))
        assert (row["suv_peak"] is None) == (row["total_lesion_glycolysis_g"] is None) == (factor == 1)
        assert ("No SUV is computed: the patient's weight is not stated." in found.remarks) == (factor == 1)
        lean = archive.segmentation(saved(archive, series)).statistics(suv_type="LBMJANMA")
        assert lean.rows()[0]["unit"] == "Bq/ml"
        missing = "size" if factor != 1 else "weight"
        assert any(f"(Janmahasatian): the patient's {missing} is not stated" in one for one in lean.remarks)
    with pytest.raises(InvalidInput, match="SUV Type is one of BW, LBM"):
        archive.segmentation(saved(archive, made[0])).statistics(suv_type="SUL")


def test_other_images_of_the_frame_of_reference(archive, series, made, tmp_path):
    place = saved(archive, series)
    shared = {one: made[0].dataset[one].value for one in ("StudyInstanceUID", "FrameOfReferenceUID")}
    finer = scan(np.full((12, 10, 12), 7, np.int16), AFFINE @ np.diag([0.5, 1, 1, 1]), **shared)
    archive.import_paths(write(tmp_path / "finer", finer))
    found = archive.segmentation(place).statistics(f"{finer[0].study}/{finer[0].series}")
    assert [row["voxels"] for row in found.rows()] == [np.count_nonzero(labels() == one) for one in (1, 2)]
    assert {row["mean"] for row in found.rows()} == {7.0}
    assert any("resampled" in one for one in found.remarks)
    elsewhere = scan(values(), AFFINE)
    archive.import_paths(write(tmp_path / "elsewhere", elsewhere))
    with pytest.raises(GeometryError, match="different frames of reference"):
        archive.segmentation(place).statistics(f"{elsewhere[0].study}/{elsewhere[0].series}")


def test_images_that_are_not_in_the_archive(archive, series):
    place = saved(archive, series)
    archive.remove(series)
    with pytest.raises(NotInArchive, match="not in the archive"):
        archive.segmentation(place).statistics()
