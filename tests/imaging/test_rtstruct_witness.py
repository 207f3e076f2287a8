"""RT Structure Sets beside plastimatch, which is the reference for what contours mean together."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nrrd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.rtstruct import read_structures, structures_to_dicom
from dicomdock.imaging.segmentation import Segmentation
from tests.builders import Made, composite, encode, write
from tests.imaging.scans import check_with_dciodvfy, ds, headers, scan

SHAPE, SLICE, PIXEL = (16, 64, 64), 3.0, 1.0  # slices, rows, columns; mm
AFFINE = np.array([[0, 0, PIXEL, -32], [0, PIXEL, 0, -32], [SLICE, 0, 0, -24], [0, 0, 0, 1.0]])
ANGLES = np.linspace(0, 2 * np.pi, 120, endpoint=False)
TOLERANCE = 0.05  # of a volume

Shape = Callable[[float], list[np.ndarray]]
"""The contours (n, 2), in mm, of a shape at a height z."""


def circle(radius: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    return np.column_stack([x + radius * np.cos(ANGLES), y + radius * np.sin(ANGLES)])


def sphere(z: float, radius: float = 18.0) -> list[np.ndarray]:
    return [circle(np.sqrt(radius**2 - z**2))] if abs(z) < radius - 0.01 else []


def shell(z: float) -> list[np.ndarray]:
    """Return a ball with a hollow inside, as one contour with a keyhole."""
    outer, inner = sphere(z), sphere(z, 9.0)
    if not inner:
        return outer
    hole = inner[0][::-1]
    hole = np.vstack([hole[-1:], hole])  # from and to the point at angle 0
    return [np.vstack([outer[0], outer[0][:1], hole])]


def branching(z: float) -> list[np.ndarray]:
    if not -16 <= z <= 16:
        return []
    return [circle(8.0)] if z < 0 else [circle(6.0, -2 - z / 2), circle(6.0, 2 + z / 2)]


def oblique(z: float) -> list[np.ndarray]:
    """Return a ball that is drawn out along a slanting axis."""
    return [one + np.array([0.8 * z, -0.5 * z]) for one in sphere(z, 17.0)]


def exact(shape: Shape) -> float:
    """Return the volume in mm3 by thin slices."""
    thin = 0.1
    area = 0.0
    for z in np.arange(-20, 20, thin):
        for points in shape(float(z)):
            x, y = points.T
            area += abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    return float(area * thin)


def structures(images: list[Dataset], drawn: dict[str, list[tuple[str, np.ndarray]]]) -> Dataset:
    """Make a structure set of contours (n, 3) in mm, each with its geometric type."""
    lead = images[0]
    dataset = composite(
        RTStructureSetStorage,
        StudyInstanceUID=lead.StudyInstanceUID,
        Modality="RTSTRUCT",
        StructureSetLabel="WITNESS",
    )
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = lead.SeriesInstanceUID
    series.ContourImageSequence = []
    for image in images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        series.ContourImageSequence.append(item)
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = lead.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = lead.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(drawn.items(), 1):
        roi, item = Dataset(), Dataset()
        roi.ROINumber = item.ReferencedROINumber = number
        roi.ROIName, roi.ReferencedFrameOfReferenceUID = name, lead.FrameOfReferenceUID
        item.ROIDisplayColor = [255, 0, 0]
        item.ContourSequence = []
        for kind, points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = ds(np.round(points.reshape(-1), 4) + 0.0)
            item.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(item)
    return dataset


def contoured(shape: Shape, spacing: float) -> list[tuple[str, np.ndarray]]:
    found = []
    for z in np.arange(-24, 24, spacing):
        for points in shape(float(z)):
            found.append(("CLOSED_PLANAR", np.column_stack([points, np.full(len(points), z)])))
    return found


def plastimatch(folder: Path, made: list[Made], structure_set: Dataset) -> dict[str, int]:
    """Return the number of voxels of each region, as plastimatch reads it."""
    program = shutil.which("plastimatch")
    if program is None:
        pytest.skip("plastimatch is not installed; to run this test: apt install plastimatch")
    write(folder / "in", [*made, Made(structure_set, encode(structure_set))])
    subprocess.run(
        [
            *(program, "convert", "--input", folder / "in", "--referenced-ct", folder / "in"),
            *("--output-prefix", folder / "out", "--prefix-format", "nrrd"),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return {path.stem: int((nrrd.read(str(path))[0] > 0).sum()) for path in (folder / "out").iterdir()}


@pytest.fixture(scope="module")
def made() -> list[Made]:
    return scan(np.zeros(SHAPE, np.int16), AFFINE)


def segmentation(made: list[Made], structure_set: Dataset) -> Segmentation:
    images = headers(made)
    (plan,) = split_series(images)
    return read_structures(
        structure_set,
        plan.geometry,
        frame_of_reference=plan.frame_of_reference,
        instances=plan.instances,
    )


def ours(made: list[Made], structure_set: Dataset) -> dict[str, int]:
    return {one.label: one.mask.count for one in segmentation(made, structure_set).segments}


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [0.75, 1.0, 1.5, 2.0, 2.5, 3.0])
def test_volumes_are_those_of_the_shapes(made, tmp_path, spacing):
    """plastimatch unites all planes that round to one slice, so its volumes grow where these are dense."""
    shapes = {"sphere": sphere, "shell": shell, "branching": branching, "oblique": oblique}
    drawn = structures(headers(made), {name: contoured(shape, spacing) for name, shape in shapes.items()})
    judge, found = plastimatch(tmp_path, made, drawn), ours(made, drawn)
    for name, shape in shapes.items():
        assert found[name] == pytest.approx(exact(shape) / (SLICE * PIXEL**2), rel=TOLERANCE), name
        assert found[name] <= judge[name], name
        if spacing == SLICE:
            assert found[name] == judge[name], name


@pytest.mark.slow
def test_contours_farther_apart_than_slices_stay_where_they_are_drawn(made, tmp_path):
    drawn = structures(headers(made), {"sphere": contoured(sphere, 2 * SLICE)})
    assert ours(made, drawn) == plastimatch(tmp_path, made, drawn)
    (remark,) = segmentation(made, drawn).remarks
    assert "farther apart than the slices" in remark
    assert "sphere" in remark


@pytest.mark.slow
def test_contours_halfway_between_slices_fill_every_slice(made, tmp_path):
    """Rounding of the positions to 0.01 mm must not send two of them to one slice and none to the next."""

    def drawn(errors: list[float]) -> Dataset:
        heights = np.arange(-24 + SLICE / 2, 24, SLICE)
        contours = [
            ("CLOSED_PLANAR", np.column_stack([points, np.full(len(points), z + error)]))
            for z, error in zip(heights, np.resize(errors, len(heights)), strict=True)
            for points in sphere(float(z))
        ]
        return structures(headers(made), {"sphere": contours})

    exactly, rounded = drawn([0.0]), drawn([0.0, 0.004, -0.004])
    assert ours(made, exactly) == ours(made, rounded) == plastimatch(tmp_path, made, exactly)
    assert ours(made, rounded)["sphere"] == pytest.approx(exact(sphere) / SLICE, rel=TOLERANCE)
    (remark,) = segmentation(made, rounded).remarks
    assert "between the slices" in remark


@pytest.mark.slow
def test_pieces_drawn_in_planes_of_their_own_are_all_there(made, tmp_path):
    heights = np.arange(-21, 22, SLICE)
    contours = [
        ("CLOSED_PLANAR", np.column_stack([points, np.full(len(points), z)]))
        for x, shift in ((-15, 0.0), (15, 1.0))
        for z in heights + shift
        for points in ([circle(np.sqrt(100 - z**2), x)] if abs(z) < 9.9 else [])
    ]
    drawn = structures(headers(made), {"two": contours})
    assert ours(made, drawn) == plastimatch(tmp_path, made, drawn)
    assert segmentation(made, drawn).remarks == ()


def square(low: float, high: float, z: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Return a square whose outline runs between the pixel centres."""
    corners = np.array([[low, low], [high, low], [high, high], [low, high]]) + 0.5
    return np.column_stack([corners + np.array([0, y]), np.full(4, z)])


@pytest.mark.slow
def test_what_contours_in_one_plane_mean_together(made, tmp_path):
    outer, inner, beside = square(-10, 10), square(-5, 5), square(0, 20)
    keyhole = np.vstack([outer, outer[:1], inner[:1], inner[::-1], outer[:1]])
    united = {
        "alone": [outer],
        "twice": [outer, outer],
        "overlapping": [outer, beside],
        "inside": [outer, inner],
        "keyhole": [keyhole],
    }
    kinds = {name: [("CLOSED_PLANAR", one) for one in contours] for name, contours in united.items()}
    drawn = structures(headers(made), kinds)
    found = ours(made, drawn)
    assert found == {"alone": 400, "twice": 400, "overlapping": 700, "inside": 400, "keyhole": 300}
    assert found == plastimatch(tmp_path, made, drawn)
    (remark,) = segmentation(made, drawn).remarks
    assert "united" in remark
    assert "twice, inside." in remark
    xor = structures(
        headers(made),
        {name: [("CLOSEDPLANAR_XOR", one) for one in contours] for name, contours in united.items()},
    )
    assert ours(made, xor) == {
        "alone": 400,
        "twice": 0,
        "overlapping": 600,
        "inside": 300,
        "keyhole": 300,
    }


def test_a_region_of_another_frame_of_reference_is_not_painted_on_the_images(made):
    images = headers(made)
    drawn = structures(
        images, {"on CT": [("CLOSED_PLANAR", square(0, 5))], "on MR": [("CLOSED_PLANAR", square(0, 5))]}
    )
    drawn.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.2.3"
    found = segmentation(made, drawn)
    assert [one.mask.count for one in found.segments] == [25, 0]
    (remark,) = found.remarks
    assert "another frame of reference" in remark
    assert "on MR" in remark
    # The structure set says that its frame of reference is that of these very images.
    drawn.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"
    found = segmentation(made, drawn)
    assert [one.mask.count for one in found.segments] == [25, 25]
    assert "check that they fit" in found.remarks[0]


@pytest.mark.slow
def test_what_is_cut_or_not_drawn_is_remarked(made, tmp_path):
    kinds = {"within": [square(0, 5)], "reaching": [square(25, 60)], "nothing": []}
    drawn = structures(
        headers(made), {name: [("CLOSED_PLANAR", one) for one in found] for name, found in kinds.items()}
    )
    assert ours(made, drawn) == {"within": 25, "reaching": 36, "nothing": 0}
    cut, undrawn = segmentation(made, drawn).remarks
    assert "beyond the images" in cut
    assert "reaching." in cut
    assert "without contours: nothing." in undrawn
    del drawn.StructureSetROISequence[0].ReferencedFrameOfReferenceUID
    assert segmentation(made, drawn).remarks == (cut, undrawn)
    drawn.StructureSetROISequence[2].ReferencedFrameOfReferenceUID = "1.2.3"
    (unstated,) = (one for one in segmentation(made, drawn).remarks if "no stated frame" in one)
    assert "within." in unstated


@pytest.mark.slow
def test_saved_holes_are_read_by_others(made, tmp_path):
    images = headers(made)
    (plan,) = split_series(images)
    array = np.zeros((2, *SHAPE), np.uint8)
    array[0, 3:9, 10:40, 12:50] = 1
    array[0, 4:8, 20:30, 20:30] = 0
    array[0, 4:8, 22:26, 22:26] = 1
    array[1, 5, 3:8, 3:8] = 1
    saved = structures_to_dicom(Segmentation.from_array(array, plan.geometry, names=["a", "b"]), images)
    expected = {"a": int(array[0].sum()), "b": 25}
    assert ours(made, saved) == expected
    assert plastimatch(tmp_path, made, saved) == expected
    check_with_dciodvfy(to_bytes(saved), tmp_path)
