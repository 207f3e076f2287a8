"""RT Structure Sets: contours to voxels and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.geometry import VolumeGeometry, split_series
from dicomdock.imaging.rtstruct import fill, read_structures, structures_to_dicom, trace
from dicomdock.imaging.rtstruct.polygons import keyholes, signed_area
from dicomdock.imaging.segmentation import Segmentation
from tests.builders import composite
from tests.conftest import shared_data
from tests.imaging.scans import AXIAL, check_with_dciodvfy, headers, oblique, scan
from tests.machine import processor_time

SHAPE = (4, 12, 14)


def source(affine: np.ndarray = AXIAL) -> tuple[list[Dataset], VolumeGeometry]:
    images = headers(scan(np.zeros(SHAPE, np.int16), affine))
    return images, split_series(images)[0].geometry


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_filling_a_traced_outline_gives_the_same_pixels(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    pixels = random.random((random.integers(1, 15), random.integers(1, 15))) < share
    assert np.array_equal(fill(trace(pixels), pixels.shape), pixels)


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_each_keyhole_polygon_stands_for_itself(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    pixels = random.random((random.integers(1, 15), random.integers(1, 15))) < share
    found = keyholes(trace(pixels))
    assert len(found) == sum(signed_area(loop) > 0 for loop in trace(pixels))
    union = np.zeros_like(pixels)
    for polygon in found:
        filled = fill([polygon], pixels.shape)
        assert not (union & filled).any()
        union |= filled
    assert np.array_equal(union, pixels)


@pytest.mark.slow
def test_many_holes_take_little_time() -> None:
    pixels = np.random.default_rng(1).random((256, 256)) < 0.7
    with processor_time(at_most=5):
        keyholes(trace(pixels))


def test_a_polygon_holds_the_pixels_whose_centre_it_holds() -> None:
    triangle = np.array([[0.5, 0.5], [0.5, 6.5], [6.5, 0.5]])
    rows, columns = np.indices((8, 8))
    inside = (rows > 0.5) & (columns > 0.5) & (rows + columns < 7)
    assert np.array_equal(fill([triangle], (8, 8)), inside)


def test_polygons_that_share_a_side_share_no_pixel() -> None:
    left = np.array([[1, 1], [1, 4], [5, 4], [5, 1.0]])
    right = left + np.array([0, 3])
    a, b = fill([left], (8, 9)), fill([right], (8, 9))
    assert not (a & b).any()
    assert (a | b).sum() == 4 * 6


def test_inner_contours_are_holes_and_what_lies_outside_is_cut() -> None:
    outer = np.array([[-5, -5], [-5, 20], [20, 20], [20, -5.0]])
    inner = np.array([[1.5, 1.5], [1.5, 4.5], [4.5, 4.5], [4.5, 1.5]])
    found = fill([outer, inner], (8, 8))
    assert found.sum() == 64 - 9
    assert not found[2:5, 2:5].any()


@pytest.mark.slow
@settings(max_examples=12)
@given(st.tuples(*[st.floats(-1.5, 1.5)] * 3), st.tuples(*[st.floats(0.3, 6)] * 3), st.integers(0, 2**32 - 1))
def test_any_voxels_on_any_oblique_grid_survive(
    angles: tuple[float, ...], spacing: tuple[float, ...], seed: int
) -> None:
    images, geometry = source(oblique(angles, spacing, (3, 4, 5)))
    masks = np.random.default_rng(seed).random((2, *SHAPE)) < 0.4
    made = Segmentation.from_array(masks, geometry, names=["left kidney", "b"])
    found = read_structures(to_bytes(structures_to_dicom(made, images)), geometry)
    assert np.array_equal(found.to_masks(), masks)
    assert found.remarks == ()


@pytest.mark.slow
def test_the_object_is_valid_and_belongs_to_the_study(tmp_path: Path) -> None:
    images, geometry = source()
    masks = np.zeros((3, *SHAPE), bool)
    masks[0, 1:3, 2:9, 2:9] = True
    masks[0, 1:3, 4:6, 4:6] = False
    masks[1, 2, 3:5, 3:5] = True
    made = Segmentation.from_array(
        masks, geometry, names=["Leber mit Läsion", "kidney", "empty"], colours=[(1, 2, 3)]
    )
    written = structures_to_dicom(made, images)
    data = to_bytes(written)
    check_with_dciodvfy(data, tmp_path)
    kinds = {item.ContourGeometricType for item in written.ROIContourSequence[0].ContourSequence}
    assert kinds == {"CLOSED_PLANAR"}
    assert {c.ContourGeometricType for c in written.ROIContourSequence[1].ContourSequence} == {
        "CLOSED_PLANAR"
    }
    contour = written.ROIContourSequence[1].ContourSequence[0]
    assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == images[2].SOPInstanceUID
    assert written.StudyInstanceUID == images[0].StudyInstanceUID
    found = read_structures(
        data,
        geometry,
        frame_of_reference=images[0].FrameOfReferenceUID,
        instances=[image.SOPInstanceUID for image in images],
    )
    assert found.remarks == ("Regions without contours: empty.",)
    assert [one.label for one in found.segments] == ["Leber mit Läsion", "kidney", "empty"]
    assert found.segments[0].colour == (1, 2, 3)
    assert found.segments[1].terminology.kind.value == "64033007"
    assert np.array_equal(found.to_masks(), masks)
    assert found.source_series == images[0].SeriesInstanceUID
    again = structures_to_dicom(found, images)
    assert again.InstanceNumber == 2
    assert again.StructureSetLabel == written.StructureSetLabel


def drawn(*contours: tuple[str, list[float]]) -> Dataset:
    dataset = composite("1.2.840.10008.5.1.4.1.1.481.3")
    roi, item = Dataset(), Dataset()
    roi.ROINumber = item.ReferencedROINumber = 1
    roi.ROIName = "x"
    parts = []
    for kind, data in contours:
        part = Dataset()
        part.ContourGeometricType, part.ContourData = kind, [f"{value:g}" for value in data]
        parts.append(part)
    item.ContourSequence = parts
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [roi], [item]
    return dataset


def test_what_cannot_be_shown_is_left_out_in_words() -> None:
    geometry = VolumeGeometry(SHAPE, np.array([[0, 0, 1, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]]))
    square = [1.5, 1.5, 2, 4.5, 1.5, 2, 4.5, 4.5, 2, 1.5, 4.5, 2]
    structures = drawn(
        ("CLOSED_PLANAR", square),
        ("POINT", [1, 1, 1]),
        ("OPEN_PLANAR", square),
        ("CLOSED_PLANAR", [0, 0, 0, 5, 0, 6, 5, 5, 3]),
        ("CLOSED_PLANAR", [v + (90 if at % 3 == 2 else 0) for at, v in enumerate(square)]),
        ("CLOSED_PLANAR", [1, 2, 3, 4]),
        ("", square),
        ("CLOSED_NONPLANAR", square),
    )
    found = read_structures(structures, geometry)
    assert found.segments[0].mask.count == 9
    assert found.segments[0].mask.start == (1, 2, 2)
    assert [remark.split(";")[0] for remark in found.remarks] == [
        "2 contours are points or open lines, which enclose nothing",
        "2 contours state no Contour Geometric Type, or one that the standard does not have",
        "1 contours do not lie in the plane of the slices",
        "1 contours lie beyond the images",
        "1 contours have no usable points",
    ]


@pytest.mark.parametrize(
    ("offset", "thickness", "start", "remark"),
    [
        ([0, 0, 2], 2, (2, 2, 2), "1 contours are moved by their Contour Offset Vector."),
        ([0, 0, -2], 2, (0, 2, 2), "1 contours are moved by their Contour Offset Vector."),
        ([0, 0, 2], None, (1, 2, 2), "1 contours have a Contour Offset Vector that cannot be applied"),
        ([0, 0, 2], 0, (1, 2, 2), "1 contours have a Contour Offset Vector that cannot be applied"),
        ([0, 2], 2, (1, 2, 2), "1 contours have a Contour Offset Vector that cannot be applied"),
        ([0, 0, 0], 2, (1, 2, 2), ""),
        (None, 2, (1, 2, 2), ""),
    ],
)
def test_a_contour_lies_where_its_offset_puts_it(
    offset: list[float] | None, thickness: float | None, start: tuple[int, int, int], remark: str
) -> None:
    """PS3.3-2020e §C.8.8.6.2: without a valid slab thickness the offset is zero."""
    geometry = VolumeGeometry(SHAPE, np.array([[0, 0, 1, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]]))
    structures = drawn(("CLOSED_PLANAR", [1.5, 1.5, 2, 4.5, 1.5, 2, 4.5, 4.5, 2, 1.5, 4.5, 2]))
    contour = structures.ROIContourSequence[0].ContourSequence[0]
    if offset is not None:
        contour.ContourOffsetVector = offset
    if thickness is not None:
        contour.ContourSlabThickness = thickness
    found = read_structures(structures, geometry)
    assert (found.segments[0].mask.start, found.segments[0].mask.count) == (start, 9)
    assert " ".join(found.remarks).startswith(remark)
    assert bool(found.remarks) == bool(remark)


def test_a_region_without_voxels_is_named() -> None:
    geometry = VolumeGeometry(SHAPE, np.array([[0, 0, 1, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]]))
    found = read_structures(drawn(("POINT", [1, 1, 1])), geometry)
    assert found.remarks[-1] == "Regions without voxels on the images: x."


def test_contours_that_belong_to_no_region_or_to_several_are_reported() -> None:
    images, geometry = source()
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:3, 2:5, 1:5], labels[3, 1:4, 2:6] = 1, 2
    made = Segmentation.from_array(labels, geometry, names=["liver", "tumor"])
    structures = structures_to_dicom(made, images)
    lost = len(structures.ROIContourSequence[1].ContourSequence)
    structures.ROIContourSequence[1].ReferencedROINumber = 9
    found = read_structures(structures, geometry)
    assert [one.mask.count for one in found.segments] == [int((labels == 1).sum()), 0]
    assert found.remarks == (
        "Regions without contours: tumor.",
        f"{lost} contours belong to no region of the structure set; they are left out.",
    )
    structures.ROIContourSequence[1].ReferencedROINumber = 1
    structures.StructureSetROISequence[1].ROINumber = 1
    found = read_structures(structures, geometry)
    assert {one.mask.count for one in found.segments} == {int((labels > 0).sum())}
    assert found.remarks[-1] == "2 regions have the ROI Number 1, and each has the contours of all of them."


def test_other_objects_and_empty_sets_are_refused() -> None:
    images, geometry = source()
    with pytest.raises(GeometryError, match="not an RT Structure Set"):
        read_structures(images[0], geometry)
    empty = drawn()
    empty.StructureSetROISequence = []
    with pytest.raises(GeometryError, match="no regions"):
        read_structures(empty, geometry)
    made = Segmentation.from_array(np.ones(SHAPE, np.uint8), geometry)
    with pytest.raises(GeometryError, match="grid first"):
        structures_to_dicom(made, headers(scan(np.zeros((2, 3, 3), np.int16))))


@pytest.mark.parametrize(
    ("name", "regions", "words"),
    [
        ("rt.dcm", 1, "another frame of reference"),
        ("invalid_reference_rt.dcm", 4, "images that are not in the series"),
        ("non_existent_reference_rt.dcm", 4, "lie beyond the images"),
    ],
)
def test_real_structure_sets_also_with_references_that_do_not_exist(
    name: str, regions: int, words: str
) -> None:
    folder = shared_data("zoo", "rtstruct", "mock_data")
    images = [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted(folder.glob("ct_*.dcm"))]
    (plan,) = split_series(images)
    data = (folder / name).read_bytes()
    found = read_structures(
        data, plan.geometry, frame_of_reference=plan.frame_of_reference, instances=plan.instances
    )
    assert len(found.segments) == regions
    assert found.segments[0].mask.count > 0
    assert words in " ".join(found.remarks)
    assert found.source_instances
