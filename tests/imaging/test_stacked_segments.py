"""Segments on images without a position in the patient: projections, ultrasound, photographs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.measurements import calibrations_of
from dicomdock.imaging.segmentation import Mask, Segmentation, read_segmentation, segmentation_to_dicom
from dicomdock.imaging.statistics import segment_statistics
from dicomdock.imaging.volume import Volume
from tests.builders import composite
from tests.imaging.scans import check_with_dciodvfy, grid

ROWS, COLUMNS = 20, 30


def image(sop_class: str, pixels: np.ndarray, **attributes: object) -> Dataset:
    """Make an image without a position of pixels ([frames,] rows, columns[, 3])."""
    colour = pixels.shape[-1] == 3
    dataset = composite(sop_class, Rows=ROWS, Columns=COLUMNS, **attributes)
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    if pixels.ndim - colour == 3:
        dataset.NumberOfFrames, dataset.FrameTime = len(pixels), "40"
    dataset.PixelData = pixels.astype(np.uint8).tobytes()
    return dataset


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*shape, ROWS, COLUMNS))


def projection() -> list[Dataset]:
    stated = {"Modality": "DX", "ImagerPixelSpacing": [0.2, 0.3], "PatientOrientation": ["L", "F"]}
    return [image(DigitalXRayImageStorageForPresentation, values(), **stated)]


def two_captures() -> list[Dataset]:
    series = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "Modality": "OT"}
    return [
        image(SecondaryCaptureImageStorage, values(), InstanceNumber=number, **series) for number in (1, 2)
    ]


def colour_loop() -> list[Dataset]:
    pixels = np.stack([values(5)] * 3, axis=-1)
    return [image(UltrasoundMultiFrameImageStorage, pixels, Modality="US")]


def drawn_on(images: Sequence[Dataset]) -> tuple[Volume, Segmentation, np.ndarray]:
    """Draw two segments that overlap, one on the last image and one on the first and the last."""
    volume = Volume.from_instances(images)
    masks = np.zeros((2, *volume.geometry.shape), bool)
    masks[0, -1, 3:9, 4:12] = masks[1, -1, 5:15, 8:10] = masks[1, 0, 1:2, 2:7] = True
    return volume, Segmentation.from_array(masks, volume, names=["lesion", "vessel"]), masks


KINDS = pytest.mark.parametrize(
    "images", [projection(), two_captures(), colour_loop()], ids=["DX", "SC", "US"]
)


@KINDS
def test_segments_on_images_without_a_position_are_read_back_on_these_images(
    images: list[Dataset], tmp_path: Path
) -> None:
    volume, drawn, masks = drawn_on(images)
    data = to_bytes(segmentation_to_dicom(drawn, images))
    check_with_dciodvfy(data, tmp_path)

    found = read_segmentation(data, onto=volume.geometry, images=volume.sources)
    assert not found.spatial and found.lies_on(volume)
    assert np.array_equal(found.to_masks(), masks)

    witness = hd.seg.segread(io.BytesIO(data))
    assert "FrameOfReferenceUID" not in witness and witness.coordinate_system is None
    instance, frame = volume.sources[-1] or ("", 0)
    if len(images) > 1 or "NumberOfFrames" not in images[0]:
        seen = witness.get_pixels_by_source_instance([instance])
    else:
        seen = witness.get_pixels_by_source_frame(instance, [frame])
    assert np.array_equal(seen[0].astype(bool), np.moveaxis(masks[:, -1], 0, -1))


def test_label_maps_lie_on_their_images_too() -> None:
    images = colour_loop()
    volume = Volume.from_instances(images)
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1, 3:9, 4:12], labels[4, 2:5, 1:3] = 1, 2
    data = to_bytes(segmentation_to_dicom(Segmentation.from_array(labels, volume), images, kind="LABELMAP"))
    found = read_segmentation(data, onto=volume.geometry, images=volume.sources)
    assert np.array_equal(found.to_array(), labels)


def test_a_segmentation_that_highdicom_makes_of_an_image_without_a_position_is_read() -> None:
    (shot,) = projection()
    del shot.ImagerPixelSpacing
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    mask[3:9, 4:12] = 1
    tissue = hd.sr.CodedConcept("85756007", "SCT", "Tissue")
    made = hd.seg.Segmentation(
        source_images=[shot],
        pixel_array=mask,
        segmentation_type="BINARY",
        segment_descriptions=[hd.seg.SegmentDescription(1, "lesion", tissue, tissue, "MANUAL")],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="-",
        manufacturer_model_name="-",
        software_versions="-",
        device_serial_number="-",
    )
    volume = Volume.from_instances([shot])
    found = read_segmentation(to_bytes(made), onto=volume.geometry, images=volume.sources)
    assert np.array_equal(found.to_array()[0], mask)


def test_segments_of_other_images_are_not_laid_over_these() -> None:
    first, second = two_captures(), two_captures()
    _, drawn, _ = drawn_on(first)
    data = to_bytes(segmentation_to_dicom(drawn, first))
    other = Volume.from_instances(second)
    with pytest.raises(GeometryError, match="not among these"):
        read_segmentation(data, onto=other.geometry, images=other.sources)
    assert not drawn.fits(other) and not drawn.lies_on(other)
    with pytest.raises(GeometryError, match="no place in mm"):
        drawn.onto(grid())
    with pytest.raises(GeometryError, match="not all there"):
        segmentation_to_dicom(drawn, second)


def test_without_its_images_a_segmentation_keeps_those_that_it_names() -> None:
    images = colour_loop()
    volume, drawn, masks = drawn_on(images)
    found = read_segmentation(to_bytes(segmentation_to_dicom(drawn, images)))
    assert found.source_frames == (volume.sources[0], volume.sources[4])
    assert np.array_equal(found.to_masks(), masks[:, [0, 4]])


def test_numbers_of_segments_are_those_of_each_image() -> None:
    images = projection()
    volume, drawn, masks = drawn_on(images)
    stated = {one.SOPInstanceUID: calibrations_of(one) for one in images}
    lesion, vessel = segment_statistics(drawn, volume, calibrations=stated)
    for one, mask in ((lesion, masks[0, 0]), (vessel, masks[1, 0])):
        inside = volume.array[0][mask].astype(float)
        assert one.shape.volume is one.shape.surface is one.shape.diameter is None
        assert (one.shape.voxels, one.shape.area) == (mask.sum(), pytest.approx(mask.sum() * 0.2 * 0.3))
        assert one.values is not None
        assert (one.values.mean, one.values.deviation) == pytest.approx((inside.mean(), inside.std()))
    corners = np.hypot(5 * 0.2, 8 * 0.3), np.hypot(6 * 0.2, 7 * 0.3)  # from middle to middle of pixels' edges
    assert lesion.shape.slice_diameter == pytest.approx(max(corners))


def test_without_calibration_there_are_pixels_and_in_colour_no_values() -> None:
    volume, drawn, _ = drawn_on(colour_loop())
    found = list(segment_statistics(drawn, volume))
    assert [(one.label, one.slice, one.shape.voxels) for one in found] == [
        ("lesion", 4, 48),
        ("vessel", 0, 5),
        ("vessel", 4, 20),
    ]
    assert all(one.shape.area is one.shape.slice_diameter is one.values is None for one in found)
    assert {one.image for one in found} == {volume.sources[0], volume.sources[4]}


def test_a_segment_across_ultrasound_regions_has_no_millimetres() -> None:
    pixels = values()

    def region(left: int, right: int) -> Dataset:
        one = Dataset()
        one.RegionSpatialFormat, one.RegionDataType, one.RegionFlags = 1, 1, 0
        one.RegionLocationMinX0, one.RegionLocationMinY0 = left, 0
        one.RegionLocationMaxX1, one.RegionLocationMaxY1 = right, ROWS - 1
        one.PhysicalUnitsXDirection = one.PhysicalUnitsYDirection = 3
        one.PhysicalDeltaX, one.PhysicalDeltaY = 0.05, 0.04
        return one

    shot = image(SecondaryCaptureImageStorage, pixels, Modality="US")
    shot.SequenceOfUltrasoundRegions = [region(0, 13), region(15, COLUMNS - 1)]
    volume = Volume.from_instances([shot])
    inside, across = np.zeros((2, 1, ROWS, COLUMNS), bool)
    inside[0, 2:6, 16:20] = across[0, 2:6, 10:20] = True
    drawn = Segmentation.from_masks({1: Mask.of(inside), 2: Mask.of(across)}, volume)
    stated = {shot.SOPInstanceUID: calibrations_of(shot)}
    one, other = segment_statistics(drawn, volume, calibrations=stated)
    assert one.shape.area == pytest.approx(16 * 0.5 * 0.4)
    assert other.shape.area is None and other.shape.voxels == 40


def test_a_stack_is_told_from_another_of_the_same_size() -> None:
    """A grey and a colour image of one series have grids that are alike."""
    volumes = [Volume.from_instances(one) for one in (two_captures()[:1], two_captures()[:1])]
    assert volumes[0].geometry.matches(volumes[1].geometry)
    drawn = [Segmentation.from_array(np.ones((1, ROWS, COLUMNS)), one) for one in volumes]
    assert drawn[0].lies_on(volumes[0]) and not drawn[0].lies_on(volumes[1])
    assert not drawn[0].shares_grid(drawn[1]) and not drawn[0].fits(volumes[0].geometry)
    assert not split_series(two_captures())[0].spatial
