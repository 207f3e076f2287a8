"""Numbers of segments over the archive's images."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pyarrow.parquet
import pytest

from dicomdock import Archive, Resource, Segmentation
from dicomdock.errors import GeometryError, InvalidInput, NotInArchive
from tests.api.conftest import AFFINE, labels, values
from tests.builders import made, write
from tests.imaging.scans import check_with_dciodvfy, scan
from tests.imaging.test_stacked_segments import projection
from tests.imaging.test_statistics import FACTOR, pet
from tests.programs import python


def saved(archive: Archive, series: str, kind: str = "BINARY") -> Resource:
    drawn = Segmentation.from_array(labels(), archive.volume(series), names=["liver", "tumor"])
    return drawn.save(kind=kind)  # type: ignore[arg-type]


@pytest.mark.slow
def test_nothing_is_left_of_a_table_for_which_there_is_no_room(tmp_path: Path):
    """A limit on the size of files stands for a full disk: the kernel writes a part and refuses the rest."""
    table, other = tmp_path / "numbers.csv", tmp_path / "missing" / "numbers.csv"
    code = """
import resource, signal, sys
from dicomdock.api.table import write_new
from dicomdock.errors import ArchiveError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for path in sys.argv[1:]:
    try:
        write_new(path, bytes(5000))
    except ArchiveError as error:
        print(error)
"""
    with python(code, table, other) as writing:
        assert writing.ends() == 0
    assert f"The disk is full: Writing {table} stopped" in writing.stdout
    assert f"No such file or directory ({other})" in writing.stdout
    assert not table.exists()


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_images_that_are_not_in_the_archive(archive, series):
    place = saved(archive, series)
    archive.remove(series)
    with pytest.raises(NotInArchive, match="not in the archive"):
        archive.segmentation(place).statistics()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data")  # of frames of 15 bytes
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_numbers_as_a_report_that_others_read(archive, tmp_path, kind):
    datasets = pet()
    (tmp_path / "pet").mkdir()
    for at, dataset in enumerate(datasets):
        dataset.save_as(tmp_path / "pet" / f"{at}.dcm", enforce_file_format=True)
    archive.import_paths(tmp_path / "pet")
    drawn = saved(archive, f"{datasets[0].StudyInstanceUID}/{datasets[0].SeriesInstanceUID}", kind)
    found = archive.segmentation(drawn).statistics()
    place = archive.save_statistics(found, drawn)
    assert archive.save_statistics(found, drawn) == place
    assert place.study == drawn.study
    (part,) = archive.retrieve(place)
    if kind == "BINARY":  # dciodvfy does not take a label map for a segmentation
        check_with_dciodvfy(Path(part.path).read_bytes(), tmp_path)

    report = highdicom.sr.srread(part.path)
    groups = report.content.get_volumetric_roi_measurement_groups()
    rows = found.rows()
    for number, (group, row) in enumerate(zip(groups, rows, strict=True), 1):
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == drawn.instance
        assert segment.referenced_segment_numbers == [number]
        assert segment.source_series_for_segmentation.value == found.images.series
        assert group.tracking_identifier == row["label"]
        stated = {
            (one.name.meaning, one.derivation.meaning if one.derivation else ""): (one.value, one.unit.value)
            for one in group.get_measurements()
        }
        uptake, unit = "Standardized Uptake Value", "g/ml{SUVbw}"
        assert stated == {
            ("Volume", ""): (pytest.approx(row["volume_ml"]), "cm3"),
            ("Surface Area of Mesh", ""): (pytest.approx(row["surface_mm2"]), "mm2"),
            ("Maximum 3D Diameter of a Mesh", ""): (pytest.approx(row["diameter_mm"]), "mm"),
            (uptake, "Mean"): (pytest.approx(row["mean"]), unit),
            (uptake, "Standard Deviation"): (pytest.approx(row["standard_deviation"]), unit),
            (uptake, "Minimum"): (pytest.approx(row["minimum"]), unit),
            (uptake, "Maximum"): (pytest.approx(row["maximum"]), unit),
            (uptake, "Median"): (pytest.approx(row["median"]), unit),
            (uptake, "Peak Value Within ROI"): (pytest.approx(row["suv_peak"]), unit),
            ("Metabolic Volume", ""): (pytest.approx(row["metabolic_volume_ml"]), "cm3"),
            ("Total Lesion Glycolysis", ""): (pytest.approx(row["total_lesion_glycolysis_g"]), "g"),
        }
    program = shutil.which("tid1500reader")
    if program is None:
        pytest.skip("tid1500reader is not here; to run this test: pip install dcmqi")
    told = tmp_path / "told.json"
    command = [program, "--inputDICOM", part.path, "--outputMetadata", told]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    read = json.loads(told.read_text())["Measurements"]
    assert [(one["TrackingIdentifier"], one["ReferencedSegment"]) for one in read] == [
        ("liver", 1),
        ("tumor", 2),
    ]
    assert {one["segmentationSOPInstanceUID"] for one in read} == {drawn.instance}
    assert {one["SourceSeriesForImageSegmentation"] for one in read} == {found.images.series}
    assert [float(one["measurementItems"][0]["value"]) for one in read] == pytest.approx(
        [row["volume_ml"] for row in rows]
    )


@pytest.mark.slow
def test_segments_on_projections_have_areas_and_a_planar_report(archive, tmp_path):
    (shot,) = projection()
    place = Resource(shot.StudyInstanceUID, shot.SeriesInstanceUID)
    archive.import_paths([*write(tmp_path / "shot", [made(shot)])])
    volume = archive.volume(place)
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[0, 3:9, 4:12], array[0, 12:14, 2:5] = 1, 2
    drawn = Segmentation.from_array(array, volume, names=["nodule", "clip"]).save()

    read = archive.segmentation(drawn)
    assert not read.spatial and np.array_equal(read.to_array(), array)
    found = read.statistics()
    nodule, clip = found.rows()
    assert (nodule["voxels"], nodule["area_mm2"], nodule["volume_ml"]) == (48, pytest.approx(2.88), None)
    assert (clip["image"], clip["instance"], clip["frame"]) == (1, shot.SOPInstanceUID, 1)
    assert nodule["mean"] == pytest.approx(volume.array[array == 1].mean())
    assert "In mm at the detector, the body magnified." in found.remarks
    for form in ("nifti", "stl"):
        (one,) = archive.export_as(drawn, tmp_path / form, form)
        assert (one.status, "without a position" in one.reason) == ("failed", True)

    (part,) = archive.retrieve(archive.save_statistics(found, drawn))
    check_with_dciodvfy(Path(part.path).read_bytes(), tmp_path)
    groups = highdicom.sr.srread(part.path).content.get_planar_roi_measurement_groups()
    for group, row in zip(groups, (nodule, clip), strict=True):
        segment = group.referenced_segmentation_frame
        assert segment.referenced_sop_instance_uid == drawn.instance
        assert segment.referenced_frame_numbers == [row["segment"]]
        stated = {one.name.meaning: one.value for one in group.get_measurements() if one.derivation is None}
        area, longest = row["area_mm2"], row["slice_diameter_mm"]
        assert stated == {"Area": pytest.approx(area), "Long Axis": pytest.approx(longest)}


@pytest.mark.slow
def test_a_report_of_numbers_needs_the_segments_that_were_measured(archive, series):
    structures, segments = saved(archive, series, "STRUCTURES"), saved(archive, series)
    with pytest.raises(GeometryError, match="save the segments as one first"):
        archive.save_statistics(archive.segmentation(structures).statistics(), structures)
    other = Segmentation.from_array(labels(), archive.volume(series), names=["spleen", "tumor"]).save()
    with pytest.raises(InvalidInput, match="does not hold the segments that were measured"):
        archive.save_statistics(archive.segmentation(segments).statistics(), other)
