"""Measurements, through structured reports and back."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.measurements import (
    Evaluation,
    Measurement,
    Report,
    angle,
    calibration_at,
    calibrations_of,
    cobb_angle,
    distance,
    ellipse,
    in_pixels,
    point,
    read_report,
    region,
    report_to_dicom,
    shape_at,
    two_way,
)
from dicomdock.imaging.measurements.measurement import LENGTH, MILLIMETRE, PIXEL, Value
from dicomdock.imaging.measurements.targets import diameter_of
from dicomdock.imaging.terminology import Code, code_item
from dicomdock.imaging.volume import Volume
from tests.builders import Made
from tests.conftest import shared_data
from tests.imaging.scans import check_with_dciodvfy, headers, oblique, scan
from tests.imaging.test_dose import dose_of, linear

MASS, LIVER = Code("4147007", "SCT", "Mass"), Code("10200004", "SCT", "Liver")
JUDGED = (
    Evaluation(Code("112016", "DCM", "Calcification Distribution"), Code("52101004", "SCT", "Present")),
    Evaluation(Code("121106", "DCM", "Comment"), "grew since May"),
)


@pytest.fixture(scope="module")
def instances() -> list[Made]:
    array = np.zeros((4, 10, 12), np.int16)
    array[2, 2:6, 3:7] = 50
    array[2, 4:6, 3:7] = 70
    return scan(array, RescaleSlope="1", RescaleIntercept="0")


@pytest.fixture(scope="module")
def volume(instances: list[Made]) -> Volume:
    return Volume.from_instances([one.data for one in instances])


def square(volume: Volume) -> list[tuple[float, float, float]]:
    corners = [(2, 1.5, 2.5), (2, 1.5, 6.5), (2, 5.5, 6.5), (2, 5.5, 2.5)]
    return [tuple(float(v) for v in point) for point in volume.geometry.to_lps(corners)]


def test_distance_and_angle() -> None:
    assert distance("d", (0, 0, 0), (3, 4, 12)).values[0].number == pytest.approx(13)
    assert angle("a", (1, 0, 0), (0, 0, 0), (0, 2, 0)).values[0].number == pytest.approx(90)
    assert distance("d", (0, 0, 0), (3, 4, 0)).values[0].words == "Length 5 mm"
    with pytest.raises(GeometryError, match="three different"):
        angle("a", (1, 0, 0), (1, 0, 0), (0, 2, 0))


def test_two_way_distances_and_angles_between_lines() -> None:
    found = two_way("t", (0, 0, 0), (3, 0, 4), (9, 9, 9), (9, 21, 9))
    assert [value.words for value in found.values] == ["Long Axis 12 mm", "Short Axis 5 mm"]
    assert found.values[0].points == ((9, 9, 9), (9, 21, 9))
    for end in ((1, 1, 0), (-1, -1, 0)):  # whichever way a line was drawn
        (angle_,) = cobb_angle("c", (0, 0, 0), (2, 0, 0), (5, 5, 5), tuple(np.add((5, 5, 5), end))).values
        assert angle_.number == pytest.approx(45)
    with pytest.raises(GeometryError, match="four different"):
        cobb_angle("c", (0, 0, 0), (0, 0, 0), (0, 0, 0), (1, 0, 0))


def test_points_and_ellipses_have_the_values_of_their_voxels(volume: Volume) -> None:
    def at(k: float, j: float, i: float) -> tuple[float, float, float]:
        x, y, z = volume.geometry.to_lps([k, j, i])
        return float(x), float(y), float(z)

    assert point("p", at(2, 5.2, 3.9), volume).values[0].words == "Attenuation Coefficient 70 HU"
    with pytest.raises(GeometryError, match="needs a voxel"):
        point("p", at(2, 5, 12.6), volume)
    drawn = ellipse("e", at(2, 3.5, 2), at(2, 3.5, 8), at(2, 1.5, 5), at(2, 5.5, 5), volume)
    j, i = np.indices((10, 12))
    inside = volume.array[2][((i - 5) / 3) ** 2 + ((j - 3.5) / 2) ** 2 < 1]
    area, mean, deviation, least, most = (value.number for value in drawn.values)
    assert area == pytest.approx(np.pi * 3 * 2 * 0.49)  # pixels of 0.7 mm
    assert (mean, deviation) == pytest.approx((inside.mean(), inside.std()))
    assert (least, most) == (inside.min(), inside.max())
    turned = ellipse("e", at(2, 1.5, 5), at(2, 5.5, 5), at(2, 3.5, 2), at(2, 3.5, 8), volume)
    assert turned.points == drawn.points  # the long axis first


def test_a_region_is_measured_on_its_slice(volume: Volume) -> None:
    found = region("r", square(volume), volume)
    area, mean, deviation, least, most = (value.number for value in found.values)
    assert area == pytest.approx(16 * 0.49)
    assert (mean, deviation, least, most) == pytest.approx((60, 10, 50, 70))
    assert found.values[1].words == "Mean 60 HU"
    assert found.points[0] == found.points[-1]


def test_regions_on_reformatted_planes_and_refusals(volume: Volume) -> None:
    sagittal = [(0, 1, 4), (3, 1, 4), (3, 8, 4), (0, 8, 4.0)]
    points = [tuple(float(v) for v in point) for point in volume.geometry.to_lps(sagittal)]
    assert region("r", points, volume).values[1].number > 0
    with pytest.raises(GeometryError, match="one slice"):
        region("r", [(0, 0, 10), (5, 5, 12), (9, -9, 16)], volume)
    with pytest.raises(GeometryError, match="holds no voxel"):
        region("r", [(-29.9, -19.9, 10), (-29.8, -19.9, 10), (-29.8, -19.8, 10)], volume)


@pytest.mark.parametrize(
    ("attributes", "name", "unit"),
    [
        ({"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "0"}, "112031", "[hnsf'U]"),
        ({"Modality": "MR"}, "110852", "1"),
        ({"Modality": "PT", "Units": "BQML"}, "110821", "Bq/ml"),
        ({"Modality": "PT", "Units": "CNTS", "RescaleType": "SUV"}, "110821", "{counts}"),
        ({"Modality": "PT", "Units": "GML", "SUVType": "LBM"}, "126400", "g/ml{SUVlbm}"),
        ({"Modality": "OT"}, "PIXEL_VALUE", "1"),
    ],
)  # fmt: skip
def test_statistics_have_the_quantity_and_unit_of_the_values(attributes: Any, name: str, unit: str) -> None:
    volume = Volume.from_instances([one.data for one in scan(np.ones((4, 10, 12), np.int16), **attributes)])
    found = region("r", square(volume), volume)
    assert {(value.name.value, value.unit.value) for value in found.values[1:]} == {(name, unit)}


@pytest.mark.parametrize(
    ("dose_type", "name"),
    [
        ("PHYSICAL", "128513"),
        ("EFFECTIVE", "EFFECTIVE_DOSE"),
        ("ERROR", "DOSE_DIFFERENCE"),
        (None, "PIXEL_VALUE"),
    ],
)
@pytest.mark.parametrize("units", ["GY", "RELATIVE"])
def test_statistics_of_a_dose_have_its_type(dose_type: str | None, name: str, units: str) -> None:
    dose = dose_of(linear, DoseType=dose_type, DoseUnits=units)
    volume = Volume.from_instances([dose])
    k, j, i = (size // 2 for size in volume.geometry.shape)
    corners = [(k, j - 2, i - 2), (k, j - 2, i + 2), (k, j + 2, i + 2), (k, j + 2, i - 2)]
    found = region("r", [tuple(volume.geometry.to_lps(at)) for at in corners], volume)
    codes = {(value.name.value, value.unit.value) for value in found.values[1:]}
    assert codes == {(name, "Gy") if units == "GY" else ("PIXEL_VALUE", "1")}


@pytest.mark.slow
def test_a_region_in_an_oblique_plane_has_numbers() -> None:
    array = np.fromfunction(lambda k, j, i: 100 + 0 * i, (20, 40, 40)).astype(np.int16)
    turned = oblique((0.3, 0.4, -0.2), (1.5, 0.8, 0.8), (0, 0, 0))
    volume = Volume.from_instances([one.data for one in scan(array, turned, Modality="MR")])
    middle = volume.geometry.to_lps([10, 20, 20])
    corners = [middle + 5 * np.array(one) for one in ((1, 1, 0), (-1, 1, 0), (-1, -1, 0), (1, -1, 0))]
    found = region("r", [tuple(map(float, one)) for one in corners], volume)
    assert [value.number for value in found.values] == pytest.approx([100, 100, 0, 100, 100])


@pytest.mark.slow
def test_reports_survive_dicom(instances: list[Made], volume: Volume, tmp_path: Path) -> None:
    sources = headers(instances)
    made = Report(
        (
            distance("Länge", (1, 2, 3), (4, 5, 6), image=(instances[2].instance, 1)),
            angle("angle", (1, 0, 10), (0, 0, 10), (0, 2, 10)),
            region("tumour", square(volume), volume, finding=MASS, site=LIVER, evaluations=JUDGED),
            Measurement("number only", values=(Value(LENGTH, 7, MILLIMETRE),), tracking_uid="1.2.3"),
            Measurement("judged only", finding=MASS, evaluations=JUDGED[:1]),
        )
    )
    written = report_to_dicom(made, sources)
    data = to_bytes(written)
    check_with_dciodvfy(data, tmp_path)
    found = read_report(data)
    assert [one.label for one in found.measurements] == [
        "Länge",
        "angle",
        "tumour",
        "number only",
        "judged only",
    ]
    for was, now in zip(made.measurements, found.measurements, strict=True):
        assert now.form == was.form
        assert np.allclose(now.points, was.points, atol=1e-4)
        assert [(v.name, v.unit, v.derivation) for v in now.values] == [
            (v.name, v.unit, v.derivation) for v in was.values
        ]
        assert [v.number for v in now.values] == pytest.approx([v.number for v in was.values])
        assert now.evaluations == was.evaluations
    assert found.measurements[0].image == (instances[2].instance, 1)
    assert (found.measurements[2].finding, found.measurements[2].site) == (MASS, LIVER)
    assert found.measurements[3].tracking_uid == "1.2.3"
    assert found.frame_of_reference == sources[0].FrameOfReferenceUID
    assert written.StudyInstanceUID == instances[0].study
    assert set(found.evidence) <= {one.instance for one in instances}
    again = report_to_dicom(found, sources)
    assert again.InstanceNumber == 2
    assert again.SOPInstanceUID != written.SOPInstanceUID


def test_highdicom_reads_the_report(instances: list[Made]) -> None:
    written = report_to_dicom(Report((distance("d", (1, 2, 3), (4, 5, 6)),)), headers(instances))
    report = hd.sr.Comprehensive3DSR.from_dataset(written)
    (group,) = report.content.get_image_measurement_groups()
    (found,) = group.get_measurements()
    assert found.value == pytest.approx(27**0.5)
    assert not report.content.get_observer_contexts(observer_type=codes.DCM.Person)


@pytest.mark.slow
def test_highdicom_reads_what_was_judged(instances: list[Made], volume: Volume) -> None:
    made = region("tumour", square(volume), volume, evaluations=JUDGED)
    report = hd.sr.Comprehensive3DSR.from_dataset(report_to_dicom(Report((made,)), headers(instances)))
    (group,) = report.content.get_planar_roi_measurement_groups()
    (coded,) = group.get_qualitative_evaluations()
    assert (coded.name, coded.value) == (JUDGED[0].name, JUDGED[0].value)
    (said,) = [item.value for item in group[0].ContentSequence if item.name == JUDGED[1].name]
    assert said == "grew since May"


@pytest.mark.slow
def test_what_others_wrote_too_long_is_written_again(instances: list[Made], tmp_path: Path) -> None:
    long = Code("1", "99X", "m" * 100)
    value = Value(long, 1, MILLIMETRE, long)
    made = Measurement("one", "", (), (value,), long, long, (Evaluation(long, long), Evaluation(long, "t")))
    data = to_bytes(report_to_dicom(Report((made,)), headers(instances)))
    check_with_dciodvfy(data, tmp_path)
    (found,) = read_report(data).measurements
    assert (found.finding, found.site, found.evaluations) == (long, long, made.evaluations)
    item = Dataset()
    item.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    tracked = hd.sr.MeasurementsAndQualitativeEvaluations(hd.sr.TrackingIdentifier("1.2.3", "x"))
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        tracked[0].ContentSequence[1].UID = "of another kind"
    item.ContentSequence = list(tracked)
    assert read_report(item).measurements[0].tracking_uid == ""


def test_a_report_names_who_measured(instances: list[Made]) -> None:
    measured = Report((distance("d", (1, 2, 3), (4, 5, 6)),), creator="Roe^Rita")
    report = hd.sr.Comprehensive3DSR.from_dataset(report_to_dicom(measured, headers(instances)))
    (person,) = report.content.get_observer_contexts(observer_type=codes.DCM.Person)
    assert person.observer_identifying_attributes.name == "Roe^Rita"


def test_pixels_of_images_become_points_in_the_patient(instances: list[Made]) -> None:
    source = headers(instances)[1]
    region_2d = hd.sr.ImageRegion(
        "POLYLINE", np.array([[0.5, 0.5], [10.5, 0.5]]), hd.sr.SourceImageForRegion.from_source_image(source)
    )
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        hd.sr.TrackingIdentifier("1.2.3", "line"),
        referenced_region=region_2d,
        measurements=[hd.sr.Measurement(LENGTH, 7.0, MILLIMETRE)],
    )
    item = Dataset()
    item.SOPClassUID, item.ContentSequence = "1.2.840.10008.5.1.4.1.1.88.33", list(group)
    found = read_report(item, [source]).measurements[0]
    start = [float(v) for v in source.ImagePositionPatient]
    assert np.allclose(found.points, [start, [start[0] + 7, start[1], start[2]]])
    assert read_report(item).measurements[0].points == ()
    assert read_report(item).measurements[0].image == (str(source.SOPInstanceUID), 1)


@pytest.mark.slow
def test_measurements_on_an_image_are_drawn_in_its_pixels(
    instances: list[Made], volume: Volume, tmp_path: Path
) -> None:
    sources = headers(instances)
    image = (instances[2].instance, 1)
    a, b, c = (tuple(map(float, one)) for one in volume.geometry.to_lps([(2, 1, 2), (2, 6, 2), (2, 6, 9)]))
    made = Report(
        (
            distance("line", a, b, image=image),
            angle("angle", a, b, c, image=image),
            region("area", square(volume), volume, image=image),
            two_way("two", a, b, b, c, image=image),
            cobb_angle("cobb", a, b, b, c, image=image),
            point("point", a, volume, image=image),
            ellipse("round", *_cross(volume), volume, image=image),
        )
    )
    written = report_to_dicom(made, sources)
    check_with_dciodvfy(to_bytes(written), tmp_path)
    again = read_report(written, sources)
    for was, now in zip(made.measurements, again.measurements, strict=True):
        assert (now.form, len(now.points)) == (was.form, len(was.points))
        assert np.allclose(now.points, was.points, atol=1e-4)
        for one, other in zip(was.values, now.values, strict=True):
            assert (other.name, other.number) == (one.name, pytest.approx(one.number))
            assert np.allclose(other.points, one.points, atol=1e-4)
    kinds = [item.ValueType for item in _all_items(written) if "GraphicData" in item]
    assert set(kinds) == {"SCOORD"}
    (line, *_) = [item for item in _all_items(written) if "GraphicData" in item]
    assert [float(value) for value in line.GraphicData] == pytest.approx([2.5, 1.5, 2.5, 6.5])
    (reference,) = line.ContentSequence[0].ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == image[0]
    found = read_report(written, sources)
    for was, now in zip(made.measurements, found.measurements, strict=True):
        assert (now.form, now.image) == (was.form, image)
        assert np.allclose(now.points, was.points, atol=1e-4)


def _cross(volume: Volume) -> list[tuple[float, float, float]]:
    """Return the ends of the axes of an ellipse on the third slice."""
    ends = [(2, 3.5, 2), (2, 3.5, 8), (2, 1.5, 5), (2, 5.5, 5)]
    return [(float(x), float(y), float(z)) for x, y, z in volume.geometry.to_lps(ends)]


def _all_items(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _all_items(item)


def test_nothing_and_other_objects_are_refused(instances: list[Made]) -> None:
    with pytest.raises(GeometryError, match="without measurements"):
        report_to_dicom(Report(()), headers(instances))
    with pytest.raises(GeometryError, match="needs the images"):
        report_to_dicom(Report((distance("d", (0, 0, 0), (1, 0, 0)),)), [])
    with pytest.raises(GeometryError, match="not a structured report"):
        read_report(headers(instances)[0])


@pytest.mark.slow
def test_a_real_report_of_dcmqi(tmp_path: Path) -> None:
    data = (shared_data("zoo", "seg-sr-pm", "sr-example") / "sr.dcm").read_bytes()
    report = read_report(data)
    assert report.measurements
    names = {value.name.meaning for one in report.measurements for value in one.values}
    assert names
    assert all(one.segment for one in report.measurements)
    program = shutil.which("tid1500reader")
    if program is None:
        pytest.skip("tid1500reader is not here; to run this test: pip install dcmqi")
    (tmp_path / "sr.dcm").write_bytes(data)
    done = [program, "--inputDICOM", tmp_path / "sr.dcm", "--outputMetadata", tmp_path / "sr.json"]
    subprocess.run(done, check=True, capture_output=True, timeout=60)
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    assert [[float(item["value"]) for item in group["measurementItems"]] for group in groups] == [
        pytest.approx([value.number for value in one.values]) for one in report.measurements
    ]


def region_of(left: int, right: int, delta: float, rows: int = 20, **attributes: object) -> Dataset:
    """Make a calibrated region of an ultrasound image, whose rows are twice as far apart as its columns.

    ``delta`` is in cm, as PS3.3 has it.
    """
    made = Dataset()
    made.RegionSpatialFormat, made.RegionDataType, made.RegionFlags = 1, 1, 0
    made.RegionLocationMinX0, made.RegionLocationMaxX1 = left, right
    made.RegionLocationMinY0, made.RegionLocationMaxY1 = 0, rows - 1
    made.PhysicalUnitsXDirection = made.PhysicalUnitsYDirection = 3
    made.PhysicalDeltaX, made.PhysicalDeltaY = delta, 2 * delta
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


UNSTATED = {"PhysicalUnitsXDirection": 0, "PhysicalUnitsYDirection": 0}


def test_ultrasound_is_calibrated_by_its_regions() -> None:
    header = Dataset()
    header.SequenceOfUltrasoundRegions = [
        region_of(0, 9, 0.01),
        region_of(10, 19, 0.05),
        region_of(20, 29, 0.05, PhysicalUnitsXDirection=4),  # seconds
        region_of(30, 39, 0.05, RegionSpatialFormat=3),  # a spectrum
    ]
    found = calibrations_of(header)
    assert [(one.rows, one.columns, one.words) for one in found] == [
        (pytest.approx(0.2), pytest.approx(0.1), "by ultrasound region 1"),
        (pytest.approx(1.0), pytest.approx(0.5), "by ultrasound region 2"),
    ]
    assert calibration_at(found, [(0, 0), (9, 19)]) == found[0]
    assert calibration_at(found, [(10, 3)]) == found[1]
    for outside in ([(8, 2), (12, 2)], [(25, 2)], [(35, 2)], [(4, 21)]):
        with pytest.raises(GeometryError, match="one calibrated region"):
            calibration_at(found, outside)


def test_ultrasound_that_was_made_smaller_than_its_regions_is_not_measured_in_mm() -> None:
    loop = get_testdata_file("examples_ybr_color.dcm", download=False)
    header = dcmread(str(loop), stop_before_pixels=True)  # 320 by 240, its region that of 640 by 480
    with pytest.raises(GeometryError, match="beyond the image"):
        calibrations_of(header)
    header.Columns, header.Rows = 595, 414  # counted from 1
    (found,) = calibrations_of(header)
    assert found.rows == pytest.approx(0.5105, abs=1e-4)  # half of what the scale burned into the loop shows


@pytest.mark.parametrize(
    ("attributes", "rows", "words"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.1]}, 0.2, "at the detector, the body magnified"),
        (
            {"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": "1.5"},
            0.2,
            "at the detector, the body magnified about 1.5 times",
        ),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.2, 0.1]}, 0.2, "at the detector"),
        (
            {
                "ImagerPixelSpacing": [0.2, 0.1],
                "PixelSpacing": [0.15, 0.08],
                "PixelSpacingCalibrationType": "FIDUCIAL",
            },
            0.15,
            "by Pixel Spacing (fiducial)",
        ),
        ({"NominalScannedPixelSpacing": [0.3, 0.3]}, 0.3, "on the scanned film"),
        ({"PixelSpacing": [0, 0.1]}, 1, "because the image states no spacing"),
        ({"PixelAspectRatio": [1, 1]}, 1, "because the image states no spacing"),
        ({"PixelAspectRatio": [4, 3]}, None, ""),
        ({"SequenceOfUltrasoundRegions": [region_of(30, 39, 0.05, RegionSpatialFormat=3)]}, 1, "because"),
    ],
)
def test_projections_are_measured_where_their_spacing_is_of(
    attributes: Any, rows: float | None, words: str
) -> None:
    header = Dataset()
    for name, value in attributes.items():
        setattr(header, name, value)
    found = calibrations_of(header)
    if rows is None:
        with pytest.raises(GeometryError, match="not square"):
            calibration_at(found, [(1, 1)])
        return
    one = calibration_at(found, [(1, 1), (5, 5)])
    assert one.rows == rows
    assert one.words.startswith(words)
    assert one.unit == ("px" if words.startswith("because") else "mm")


@pytest.mark.parametrize(
    ("regions", "attributes", "points", "height"),
    [
        ([], {}, [(1, 1)], 1),
        ([], {"PixelAspectRatio": [4, 3]}, [(1, 1)], 4 / 3),
        ([], {"ImagerPixelSpacing": [0.2, 0.1]}, [(1, 1)], 2),
        ([region_of(0, 9, 0.1), region_of(10, 19, 0.5)], {}, [(1, 1), (12, 1)], 2),
        ([region_of(0, 9, 0.1)], {}, [(25, 1), (28, 1)], 1),
        ([region_of(0, 9, 0.1)], {}, [(1, 1), (25, 1)], "differ in shape"),
        ([region_of(0, 9, 0.1, PhysicalUnitsXDirection=4)], {}, [(1, 1)], "not a length"),
        ([region_of(0, 9, 0.1, RegionSpatialFormat=3)], {}, [(1, 1)], "not a length"),
        ([region_of(0, 9, 0.1, **UNSTATED)], {"PixelAspectRatio": [4, 3]}, [(1, 1)], 4 / 3),
    ],
)
def test_angles_need_only_the_shape_of_pixels(
    regions: list[Dataset], attributes: Any, points: list[tuple[int, int]], height: float | str
) -> None:
    header = Dataset()
    header.SequenceOfUltrasoundRegions = regions
    for name, value in attributes.items():
        setattr(header, name, value)
    if isinstance(height, str):
        with pytest.raises(GeometryError, match=height):
            shape_at(header, points)
        return
    found = shape_at(header, points)
    assert found.rows / found.columns == pytest.approx(height)


@pytest.mark.slow
def test_a_report_on_an_image_without_a_position(tmp_path: Path) -> None:
    made = scan(np.zeros((1, 20, 40), np.int16), Modality="US")[0].dataset
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        delattr(made, name)
    image = (str(made.SOPInstanceUID), 1)
    pixel = (4.0, 2.0, 0.0), (14.0, 12.0, 0.0), (10.0, 2.0, 0.0), (10.0, 8.0, 0.0)
    was = (
        Measurement("d", "POLYLINE", pixel[:2], (Value(LENGTH, 7, MILLIMETRE),), image=image, flat=True),
        in_pixels(replace(two_way("t", *pixel), image=image, flat=True)),
    )
    written = report_to_dicom(Report(was), [made])
    check_with_dciodvfy(to_bytes(written), tmp_path)
    lines = [item for item in _all_items(written) if "GraphicData" in item]
    assert [float(one) for one in lines[0].GraphicData] == [4.5, 2.5, 14.5, 12.5]
    again = read_report(written, [made]).measurements
    for before, after in zip(was, again, strict=True):
        assert (after.flat, after.image, after.points) == (True, image, before.points)
        assert [one.points for one in after.values] == [one.points for one in before.values]
        assert [one.words for one in after.values] == [one.words for one in before.values]
    assert [one.amount for one in again[1].values] == ["14.14 px", "6 px"]
    assert [one.unit for one in in_pixels(was[0]).values] == [PIXEL]
    assert diameter_of(again[0]) == 7
    assert diameter_of(again[1]) is None  # pixels are no diameter of a lesion
    assert read_report(written).measurements[0].points == ()


DCMJS_PX = hd.sr.CodedConcept("1", "UCUM", "px", scheme_version="1.4")
"""What dcmjs, which OHIF writes by, has for ``px`` and ``px²``, and for values whose unit is not known."""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (Code("G-D7FE", "SRT", "Length"), "Length 7.5 px"),
        (LENGTH, "Length 7.5 px"),
        (Code("G-A185", "SRT", "Long Axis"), "Long Axis 7.5 px"),
        (Code("103340004", "SCT", "Short Axis"), "Short Axis 7.5 px"),
        (Code("131191004", "SCT", "Perimeter"), "Perimeter 7.5 px"),
        (Code("131190003", "SCT", "Radius"), "Radius 7.5 px"),
        (Code("G-A166", "SRT", "Area"), "Area 7.5 px²"),
        (Code("42798000", "SCT", "Area"), "Area 7.5 px²"),
        (Code("373098007", "SCT", "Mean"), "Mean 7.5"),
    ],
)
def test_pixels_as_ohif_writes_them(name: Code, words: str) -> None:
    assert _of_ohif(name, DCMJS_PX).words == words
    unitless = hd.sr.CodedConcept("1", "UCUM", "no units")
    assert _of_ohif(name, unitless).words == f"{name.meaning} 7.5"


def _of_ohif(name: Code, unit: hd.sr.CodedConcept) -> Value:
    """Read a number of a report that has it where those of OHIF do."""
    number, group, report = Dataset(), Dataset(), Dataset()
    number.RelationshipType, number.ValueType = "CONTAINS", "NUM"
    number.ConceptNameCodeSequence = [code_item(name)]
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence, measured.NumericValue = [unit], "7.5"
    number.MeasuredValueSequence = [measured]
    group.RelationshipType, group.ValueType = "CONTAINS", "CONTAINER"
    group.ConceptNameCodeSequence = [code_item(Code("125007", "DCM", "Measurement Group"))]
    group.ContentSequence = [number]
    report.SOPClassUID, report.ContentSequence = "1.2.840.10008.5.1.4.1.1.88.33", [group]
    ((value,),) = (one.values for one in read_report(report).measurements)
    return value
