"""Segmentations: voxel for voxel through DICOM and back, also through other programs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import Authorship, to_bytes
from dicomdock.imaging.geometry import VolumeGeometry, split_series
from dicomdock.imaging.segmentation import (
    Mask,
    Segment,
    Segmentation,
    content_label,
    read_segmentation,
    segmentation_to_dicom,
)
from dicomdock.imaging.terminology import Code, Terminology
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.volume import straight_grid
from tests.imaging.scans import AXIAL, check_with_dciodvfy, grid, headers, oblique, place, put_pixels, scan
from tests.imaging.test_frame_planes import enhanced
from tests.machine import processor_time

SHAPE = (6, 10, 12)


def labels(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Return two segments that leave the first and last slice empty."""
    array = np.zeros(shape, np.uint8)
    array[1:4, 2:7, 3:9] = 1
    array[3:5, 5:9, 1:6] = 2
    return array


def source(
    shape: tuple[int, int, int] = SHAPE, affine: np.ndarray = AXIAL
) -> tuple[list[Dataset], VolumeGeometry]:
    instances = headers(scan(np.zeros(shape, np.int16), affine))
    return instances, split_series(instances)[0].geometry


def overlapping(geometry: VolumeGeometry) -> Segmentation:
    masks = np.zeros((3, *geometry.shape), bool)
    masks[0, 1:4, 2:7, 3:9] = masks[1, 2:5, 4:9, 5:11] = True
    return Segmentation.from_array(masks, geometry, names=["liver", "tumor", "nothing yet"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data matches")  # by chance
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("compression", ["none", "rle", "jpegls"])
def test_voxels_survive_dicom(kind: str, compression: str, tmp_path: Path) -> None:
    images, geometry = source()
    made = Segmentation.from_array(labels(), geometry, names=["left kidney", "tumor"])
    data = to_bytes(segmentation_to_dicom(made, images, kind=kind, compression=compression))
    found = read_segmentation(data, onto=geometry)
    assert np.array_equal(found.to_array(), labels())
    assert found.geometry.matches(geometry)
    assert [one.label for one in found.segments] == ["left kidney", "tumor"]
    assert found.segments[0].terminology.words == "Left Kidney"
    assert [one.colour for one in found.segments] == [one.colour for one in made.segments]
    check_with_dciodvfy(data, tmp_path)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.tuples(*[st.floats(-1.5, 1.5)] * 3),
    st.tuples(*[st.floats(0.3, 6)] * 3),
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 0.5),
)
def test_any_oblique_grid_and_any_voxels(
    angles: tuple[float, ...], spacing: tuple[float, ...], seed: int, share: float
) -> None:
    images, geometry = source((5, 7, 9), oblique(angles, spacing, (3, 4, 5)))
    random = np.random.default_rng(seed)
    masks = random.random((2, 5, 7, 9)) < share
    made = Segmentation.from_array(masks, geometry)
    found = read_segmentation(to_bytes(segmentation_to_dicom(made, images)), onto=geometry)
    assert np.array_equal(found.to_masks(), masks)
    assert found.geometry.matches(geometry)


@pytest.mark.slow
def test_overlaps_survive_and_empty_segments_stay(tmp_path: Path) -> None:
    images, geometry = source()
    made = overlapping(geometry)
    assert made.overlapping
    data = to_bytes(segmentation_to_dicom(made, images))
    found = read_segmentation(data, onto=geometry)
    assert np.array_equal(found.to_masks(), made.to_masks())
    assert found.segments[2].mask.count == 0
    check_with_dciodvfy(data, tmp_path)
    with pytest.raises(GeometryError, match="overlap"):
        segmentation_to_dicom(made, images, kind="LABELMAP")


@pytest.mark.slow
def test_nothing_drawn_yet_can_be_saved(tmp_path: Path) -> None:
    images, geometry = source()
    made = Segmentation.from_array(np.zeros((1, *SHAPE), bool), geometry)
    data = to_bytes(segmentation_to_dicom(made, images))
    found = read_segmentation(data, onto=geometry)
    assert found.segments[0].mask.count == 0
    assert found.geometry.matches(geometry)
    check_with_dciodvfy(data, tmp_path)


@pytest.mark.slow
def test_a_tilted_gantry_keeps_its_shear() -> None:
    affine = AXIAL.copy()
    affine[:3, 0] = (0, 0.4, 2)
    images, geometry = source(affine=affine)
    made = Segmentation.from_array(labels(), geometry)
    data = to_bytes(segmentation_to_dicom(made, images))
    assert np.array_equal(read_segmentation(data, onto=geometry).to_array(), labels())
    alone = read_segmentation(data)
    assert geometry.offset_of(alone.geometry) == (1, 0, 0)


def test_what_was_drawn_on_a_straightened_volume_goes_back_to_the_slices() -> None:
    affine = AXIAL.copy()
    affine[:3, 0] = (0, 0.7 * 2, 2)  # each slice two rows further
    volume = Volume.from_instances([one.data for one in scan(np.zeros(SHAPE, np.int16), affine)])
    straight = volume.straightened()
    drawn = np.zeros(straight.array.shape, np.uint8)
    drawn[2, 6:9, 3:5] = 1
    back = Segmentation.from_array(drawn, straight).onto(volume.geometry)
    due = np.zeros(SHAPE, np.uint8)
    due[2, 2:5, 3:5] = 1
    assert np.array_equal(back.to_array(), due)


@pytest.mark.slow
def test_a_missing_slice_can_be_drawn_on(tmp_path: Path) -> None:
    images, geometry = source((12, 10, 12))
    array = np.zeros((12, 10, 12), np.uint8)
    array[4:7, 2:5, 2:5] = 1
    kept = images[:5] + images[6:]
    data = to_bytes(segmentation_to_dicom(Segmentation.from_array(array, geometry), kept))
    assert np.array_equal(read_segmentation(data, onto=geometry).to_array(), array)
    check_with_dciodvfy(data, tmp_path)


@pytest.mark.slow
def test_a_sparse_segmentation_has_its_own_grid() -> None:
    images, geometry = source((9, 10, 12))
    array = np.zeros((9, 10, 12), np.uint8)
    array[[2, 3, 6]] = 1
    data = to_bytes(segmentation_to_dicom(Segmentation.from_array(array, geometry), images))
    alone = read_segmentation(data)
    assert alone.shape == (5, 10, 12)
    assert geometry.offset_of(alone.geometry) == (2, 0, 0)
    assert alone.fits(geometry)
    assert np.array_equal(alone.onto(geometry).to_array(), array)
    assert alone.onto(geometry).remarks == ()


def test_another_grid_is_resampled_and_says_so() -> None:
    images, geometry = source()
    made = Segmentation.from_array(labels(), geometry)
    finer = VolumeGeometry((12, 20, 24), geometry.affine @ np.diag([0.5, 0.5, 0.5, 1]))
    found = made.onto(finer)
    assert "resampled" in found.remarks[-1]
    assert found.segments[0].mask.count == pytest.approx(8 * made.segments[0].mask.count, rel=0.35)
    assert not made.fits(finer)
    data = to_bytes(segmentation_to_dicom(made, images))
    kept = read_segmentation(data, onto=finer)
    assert geometry.offset_of(kept.geometry) == (1, 0, 0)


@pytest.mark.slow
def test_a_segmentation_on_its_own_grid_is_written_as_it_is(tmp_path: Path) -> None:
    images, geometry = source()
    finer = VolumeGeometry((12, 20, 24), geometry.affine @ np.diag([0.5, 0.5, 0.5, 1]))
    array = labels((12, 20, 24))
    data = to_bytes(segmentation_to_dicom(Segmentation.from_array(array, finer), images))
    assert np.array_equal(read_segmentation(data, onto=finer).to_array(), array)
    check_with_dciodvfy(data, tmp_path)


def test_the_object_belongs_to_the_study_of_its_images() -> None:
    images = headers(scan(np.zeros(SHAPE, np.int16), PatientName="Müller^Jörg=ミューラー", PatientSex="X"))
    geometry = split_series(images)[0].geometry
    made = Segmentation.from_array(labels(), geometry, names=["Läsion", "b"], name="Größe")
    written = pydicom.dcmread(file_of(to_bytes(segmentation_to_dicom(made, images))))
    for keyword in ("StudyInstanceUID", "PatientID", "FrameOfReferenceUID", "AccessionNumber", "StudyDate"):
        assert written[keyword].value == images[0][keyword].value
    assert str(written.PatientName) == "Müller^Jörg=ミューラー"
    assert written.PatientSex == ""
    assert written.SpecificCharacterSet == "ISO_IR 192"
    assert written.SegmentSequence[0].SegmentLabel == "Läsion"
    assert written.SeriesInstanceUID != images[0].SeriesInstanceUID
    assert written.SOPInstanceUID not in {image.SOPInstanceUID for image in images}
    assert written.Manufacturer == "dicomdock"
    assert written.SoftwareVersions.startswith("dicomdock 0.")
    named = {
        item.ReferencedSOPInstanceUID
        for item in written.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert named == {image.SOPInstanceUID for image in images}
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID


def test_frames_refer_to_the_slice_they_lie_on() -> None:
    images, geometry = source()
    made = Segmentation.from_array(labels(), geometry)
    written = segmentation_to_dicom(made, images)
    for group in written.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        named = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        (image,) = [one for one in images if one.SOPInstanceUID == named]
        assert [float(v) for v in position] == pytest.approx([float(v) for v in image.ImagePositionPatient])


def test_frames_of_an_enhanced_instance_are_distinguished() -> None:
    image = enhanced()
    put_pixels(image, np.zeros((8, 10, 12), np.uint16))
    second = Volume.from_instances([image], plan=split_series([image])[1])
    array = np.zeros((4, 10, 12), np.uint8)
    array[1:3, 2:4, 2:4] = 1
    written = segmentation_to_dicom(Segmentation.from_array(array, second), [image])
    named = [
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for group in written.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(named) == [2, 8]  # of slices 2 and 1 at the second time
    again = read_segmentation(written, onto=second.geometry)
    assert set(again.source_frames) == {(str(image.SOPInstanceUID), 2), (str(image.SOPInstanceUID), 8)}
    assert np.array_equal(again.to_array(), array)


def test_plain_ascii_needs_no_character_set() -> None:
    images, geometry = source()
    written = segmentation_to_dicom(Segmentation.from_array(labels(), geometry), images)
    assert "SpecificCharacterSet" not in written


@pytest.mark.slow
def test_editing_makes_a_new_version_of_the_segmentation(tmp_path: Path) -> None:
    images, geometry = source()
    first = segmentation_to_dicom(
        Segmentation.from_array(labels(), geometry, names=["liver", "mass"]),
        images,
        authorship=Authorship("Liver study", 300, label="LIVER", creator="Doe^Jane"),
    )
    again = segmentation_to_dicom(read_segmentation(to_bytes(first), onto=geometry), images)
    assert again.SOPInstanceUID != first.SOPInstanceUID
    assert (again.SeriesNumber, again.ContentLabel, again.InstanceNumber) == (300, "LIVER", 2)
    assert again.SeriesDescription == "Liver study (version 2)"
    third = segmentation_to_dicom(read_segmentation(to_bytes(again), onto=geometry), images)
    assert third.SeriesDescription == "Liver study (version 3)"
    before = again.ReferencedInstanceSequence[0]
    assert before.ReferencedSOPInstanceUID == first.SOPInstanceUID
    tracked = [[one.TrackingUID for one in each.SegmentSequence] for each in (first, again)]
    assert tracked[0] == tracked[1]
    check_with_dciodvfy(to_bytes(again), tmp_path)


@pytest.mark.slow
def test_modifiers_regions_and_algorithms_survive(tmp_path: Path) -> None:
    images, geometry = source()
    words = Terminology(
        Code("49755003", "SCT", "Morphologically Altered Structure"),
        Code("4147007", "SCT", "Mass"),
        Code("86049000", "SCT", "Primary"),
        Code("64033007", "SCT", "Kidney"),
        Code("7771000", "SCT", "Left"),
    )
    made = Segmentation(
        geometry,
        (
            Segment(
                "a", Mask.of(labels() == 1), words, (1, 2, 3), "AUTOMATIC", "Model 7", "found by a model"
            ),
            Segment("b", Mask.of(labels() == 2), words, (255, 0, 0), "MANUAL", ""),
        ),
    )
    data = to_bytes(segmentation_to_dicom(made, images))
    a, b = read_segmentation(data).segments
    assert a.terminology == words
    assert (a.algorithm, a.algorithm_name, a.description) == ("AUTOMATIC", "Model 7", "found by a model")
    assert (a.colour, b.colour, b.algorithm) == ((1, 2, 3), (255, 0, 0), "MANUAL")
    check_with_dciodvfy(data, tmp_path)


def test_fractions_are_read_from_one_half_on() -> None:
    import highdicom as hd

    images, geometry = source()
    fraction = np.zeros(SHAPE, np.float32)
    fraction[2, 3] = np.linspace(0, 1, 12)
    description = hd.seg.SegmentDescription(
        1, "a", Code("85756007", "SCT", "Tissue"), Code("85756007", "SCT", "Tissue"), "MANUAL"
    )
    dataset = hd.seg.Segmentation(
        images, fraction, "FRACTIONAL", [description], "1.2.3", 1, "1.2.4", 1, "m", "n", "o", "p"
    )
    found = read_segmentation(to_bytes(dataset), onto=geometry)
    assert found.segments[0].mask.count == 6
    assert "fractional" in found.remarks[0]


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_voxels_of_a_segment_that_is_not_described_are_reported(kind: str) -> None:
    images, geometry = source()
    made = Segmentation.from_array(labels(), geometry, names=["left kidney", "tumor"])
    dataset = segmentation_to_dicom(made, images, kind=kind, compression="none")
    dataset.SegmentSequence[-1].SegmentNumber = 7
    found = read_segmentation(to_bytes(dataset), onto=geometry)
    assert [one.mask.count for one in found.segments] == [int((labels() == 1).sum()), 0]
    lost = int((labels() == 2).sum())
    assert found.remarks == (
        f"{lost} voxels of segment 2, which the object does not describe, are left out.",
    )


@pytest.mark.slow
def test_another_frame_of_reference_than_that_of_the_images_is_a_remark() -> None:
    images, geometry = source()
    made = Segmentation.from_array(labels(), geometry, names=["left kidney", "tumor"])
    found = read_segmentation(to_bytes(segmentation_to_dicom(made, images)), onto=geometry)
    frame = images[0].FrameOfReferenceUID
    assert found.frame_of_reference == frame
    assert found.on_images_of(frame).remarks == found.on_images_of("").remarks == ()
    (remark,) = found.on_images_of(f"{frame}.1").remarks
    assert "another frame of reference" in remark


def test_masks_are_boxes() -> None:
    array = labels() > 0
    mask = Mask.of(array)
    assert mask.start == (1, 2, 1)
    assert mask.array.shape == (4, 7, 8)
    assert np.array_equal(mask.whole(SHAPE), array)
    assert Mask.of(np.zeros(SHAPE)).count == 0
    with pytest.raises(GeometryError, match="beyond"):
        mask.moved((0, 9, 0), SHAPE)


@pytest.mark.parametrize(
    "array", [np.full(SHAPE, 0.5), np.full(SHAPE, -1), np.zeros((2, 2, 2), int), np.full(SHAPE, 70000)]
)
def test_arrays_that_are_not_label_maps_are_refused(array: np.ndarray) -> None:
    with pytest.raises(GeometryError):
        Segmentation.from_array(array, grid())


def test_names_by_value_and_default_names() -> None:
    array = labels() * 3
    made = Segmentation.from_array(array, grid(), names={6: "liver"})
    assert [one.label for one in made.segments] == ["Segment 3", "liver"]
    assert np.array_equal(made.to_array(), labels())


def test_what_cannot_be_written_is_reported_in_words() -> None:
    images, geometry = source()
    with pytest.raises(GeometryError, match="without segments"):
        segmentation_to_dicom(Segmentation(geometry, ()), images)
    made = Segmentation.from_array(labels(), geometry)
    with pytest.raises(GeometryError, match="needs the images"):
        segmentation_to_dicom(made, [])
    for image in images:
        del image.ImagePositionPatient
    with pytest.raises(GeometryError, match="no position"):
        segmentation_to_dicom(made, images)


def test_other_objects_are_no_segmentations() -> None:
    images, _ = source()
    with pytest.raises(GeometryError, match="not a DICOM Segmentation"):
        read_segmentation(images[0])


def test_damaged_segmentations_are_refused() -> None:
    images, geometry = source()
    written = segmentation_to_dicom(Segmentation.from_array(labels(), geometry), images)
    written.PixelData = written.PixelData[:8]
    with pytest.raises(GeometryError, match="cannot be decoded"):
        read_segmentation(written)
    del written.PerFrameFunctionalGroupsSequence
    with pytest.raises(GeometryError, match="describe all"):
        read_segmentation(written)


def test_content_labels_are_code_strings() -> None:
    assert content_label("Liver & tumour (2024)!") == "LIVER _ TUMOUR _"
    assert content_label("ä") == "SEGMENTATION"


@pytest.mark.slow
def test_two_segments_on_a_large_ct_are_written_and_read_quickly() -> None:
    images = headers(scan(np.zeros((200, 2, 2), np.int16)))
    for image in images:
        image.Rows = image.Columns = 512
    geometry = split_series(images)[0].geometry
    k, j, i = np.ogrid[:200, :512, :512]
    array = ((2 * (k - 100)) ** 2 + (j - 256) ** 2 + (i - 256) ** 2 < 150**2).astype(np.uint8)
    array[((2 * (k - 120)) ** 2 + (j - 300) ** 2 + (i - 256) ** 2) < 60**2] = 2
    made = Segmentation.from_array(array, geometry)
    with processor_time(at_most=10):
        data = to_bytes(segmentation_to_dicom(made, images))
    with processor_time(at_most=3):
        found = read_segmentation(data, onto=geometry)
    assert np.array_equal(found.to_array(), array)


def test_the_template_places_slices() -> None:
    images, geometry = source()
    place(images[0], geometry, 0)
    assert split_series(images)[0].geometry.matches(geometry)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_in_every_character_set_arrive_in_utf_8(character_set: str | list[str], name: str) -> None:
    images = headers(
        scan(
            np.zeros(SHAPE, np.int16),
            SpecificCharacterSet=character_set,
            PatientName=name,
            StudyDescription="x",
        )
    )
    geometry = split_series(images)[0].geometry
    data = to_bytes(segmentation_to_dicom(Segmentation.from_array(labels(), geometry), images))
    written = pydicom.dcmread(file_of(data))
    assert written.SpecificCharacterSet == "ISO_IR 192"
    assert str(written.PatientName) == name
    assert name.encode() in data


def file_of(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from((-1.5, -1.0, -0.5, -0.25, 0.5, 1.0, 1.5)) | st.floats(-2, 2),
    st.sampled_from((0.0, 0.5, -1.5)) | st.floats(-2, 2),
    st.integers(0, 2**32 - 1),
)
def test_what_is_drawn_on_a_straightened_volume_comes_back_the_same(
    down: float, across: float, seed: int
) -> None:
    """A tilt by any part of a pixel a slice: no voxel is lost, doubled or moved on the way there and back."""
    affine = AXIAL.copy()
    affine[:3, 0] = (0.7 * across, 0.7 * down, 2)
    scanned = grid((5, 10, 12), affine)
    straight = straight_grid(scanned)
    inside = np.random.default_rng(seed).random((5, 10, 12)) < 0.3
    drawn = Segmentation(scanned, (Segment("A", Mask.of(inside)),)).onto(straight)
    assert drawn.segments[0].mask.count == inside.sum()
    back = drawn.onto(scanned)
    assert np.array_equal(back.segments[0].mask.whole(scanned.shape), inside)


@pytest.mark.slow
@pytest.mark.parametrize("tilt", [0.0, 0.5])
@pytest.mark.parametrize("measures", ["absent", "empty", "without spacing"])
def test_a_segmentation_without_pixel_measures_takes_the_spacing_of_its_images(
    measures: str, tilt: float
) -> None:
    affine = AXIAL.copy()
    affine[1, 0] = tilt
    images, geometry = source(affine=affine)
    made = segmentation_to_dicom(Segmentation.from_array(labels(), geometry), images)
    for item in (*made.SharedFunctionalGroupsSequence, *made.PerFrameFunctionalGroupsSequence):
        if "PixelMeasuresSequence" not in item:
            continue
        if measures == "absent":
            del item.PixelMeasuresSequence
        else:
            item.PixelMeasuresSequence = [] if measures == "empty" else [Dataset()]
    found = read_segmentation(to_bytes(made), onto=geometry)
    assert found.geometry.matches(geometry)
    assert np.array_equal(found.to_array(), labels())
    with pytest.raises(GeometryError, match="pixel spacing"):
        read_segmentation(to_bytes(made))
    other = grid((6, 20, 24), affine)
    with pytest.raises(GeometryError, match="pixel spacing"):
        read_segmentation(to_bytes(made), onto=other)  # of other pixels, so it says nothing of these


def test_what_lies_beyond_another_grid_is_counted() -> None:
    """Of any grids: as many voxels as numpy counts outside, and a segment that is wholly outside is named."""
    small = grid((4, 8, 8), oblique((0.2, -0.1, 0.3), (2, 0.7, 0.7), (-28, -17, 11)))
    masks = np.zeros((3, *SHAPE), bool)
    masks[0, 1:3, 2:4, 2:4] = masks[1] = masks[2, 5, 9, 11] = True
    made = Segmentation.from_array(masks, grid(SHAPE), names=["inside", "all", "far"])
    found = made.onto(small)
    at = np.argwhere(np.ones(SHAPE, bool))
    there = small.to_index(made.geometry.to_lps(at))
    outside = int(((there < -0.5) | (there > np.array(small.shape) - 0.5)).any(axis=1).sum())
    assert 0 < outside < at.shape[0]
    assert f"{outside} of {at.shape[0]} voxels of all lie beyond the images." in found.remarks
    assert "far has no voxels on the images." in found.remarks
