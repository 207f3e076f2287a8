"""Volumes: the values that were stored, where they belong, whole or slice by slice."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import set_pixel_data
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry, split_series
from dicomdock.imaging.volume import Volume, allocate, fill_slice, resample
from tests.builders import Made, composite, encode
from tests.conftest import shared_data
from tests.imaging.scans import AXIAL, grid, headers, oblique, put_pixels, scan

RANDOM = np.random.default_rng(7)


def values(shape: tuple[int, ...] = (6, 10, 12), dtype: str = "int16") -> np.ndarray:
    limits = np.iinfo(dtype)
    return RANDOM.integers(max(limits.min, -2000), min(limits.max, 2000), shape).astype(dtype)


def read(instances: list[Made]) -> Volume:
    return Volume.from_instances([one.data for one in instances])


def test_values_and_place_are_those_of_the_scan() -> None:
    array = values()
    volume = read(scan(array)[::-1])
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, array)
    assert np.allclose(volume.affine, AXIAL)
    assert volume.spatial


def test_bytes_datasets_and_files_are_the_same() -> None:
    array = values()
    made = scan(array)
    mixed: list[Any] = [made[0].data, made[1].dataset, *(io.BytesIO(one.data) for one in made[2:])]
    assert np.array_equal(Volume.from_instances(mixed).array, array)


def test_files_without_preamble_and_meta_information_are_read() -> None:
    array = values()
    bare = []
    for one in scan(array):
        file = io.BytesIO()
        pydicom.dcmwrite(file, Dataset(one.dataset), implicit_vr=False, little_endian=True)
        bare.append(file.getvalue())
    assert bare[0][:2] == b"\x08\0"
    assert np.array_equal(Volume.from_instances(bare).array, array)


@pytest.mark.slow
def test_filling_by_two_threads_gives_the_same_as_reading_at_once() -> None:
    array = values((20, 32, 32))
    instances = scan(array)
    (plan,) = split_series(headers(instances))
    volume = allocate(plan)
    assert not volume.array.any()
    with ThreadPoolExecutor(2) as pool:
        filled = list(pool.map(lambda one: fill_slice(volume, one.data), instances))
    assert filled == [(k,) for k in range(20)]
    assert np.array_equal(volume.array, array)


def test_an_instance_of_another_volume_changes_nothing() -> None:
    volume = allocate(split_series(headers(scan(values())))[0])
    assert fill_slice(volume, scan(values())[0].data) == ()
    assert not volume.array.any()


def test_a_missing_instance_is_named() -> None:
    instances = scan(values())
    (plan,) = split_series(headers(instances))
    with pytest.raises(GeometryError, match="1 instances") as caught:
        Volume.from_instances([one.data for one in instances[1:]], plan=plan)
    assert caught.value.instances == (instances[0].instance,)


@pytest.mark.parametrize(
    ("spacing", "said"),
    [
        (["0", "0"], r"but their Pixel Spacing, 0\\0, cannot be used"),
        (["-0.7", "0.7"], "cannot be used"),
        (["0.7"], "cannot be used"),
        (None, "but state no Pixel Spacing"),
    ],
)
def test_the_reason_is_the_spacing_where_it_is(spacing: list[str] | None, said: str) -> None:
    instances = scan(values())
    for one in instances:
        del one.dataset.PixelSpacing
        if spacing:
            one.dataset.PixelSpacing = spacing
    (plan,) = split_series([one.dataset for one in instances])
    with pytest.raises(GeometryError, match=said):
        plan.require_spatial()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8"])
def test_lossless_transfer_syntaxes_give_the_same_values(syntax: str, dtype: str) -> None:
    array = values((2, 64, 64), dtype)
    instances = scan(array, Modality="MR")
    for one in instances:
        one.dataset.compress(syntax)
    assert np.array_equal(Volume.from_instances([encode(one.dataset) for one in instances]).array, array)


def test_big_endian() -> None:
    array = values((2, 4, 4))
    instances = []
    for one in scan(array):
        dataset = Dataset(one.dataset)
        dataset.file_meta = one.dataset.file_meta
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        dataset.PixelData = np.frombuffer(one.dataset.PixelData, "<i2").astype(">i2").tobytes()
        dataset["PixelData"].VR = "OW"
        instances.append(encode(dataset))
    assert np.array_equal(Volume.from_instances(instances).array, array)


def picture(frames: int = 1, **attributes: Any) -> tuple[Dataset, np.ndarray]:
    """Make a colour image without a place in the patient."""
    shape = (frames, 6, 8, 3) if frames > 1 else (6, 8, 3)
    colours = RANDOM.integers(0, 255, shape).astype(np.uint8)
    dataset = composite(SecondaryCaptureImageStorage if frames == 1 else UltrasoundMultiFrameImageStorage)
    set_pixel_data(dataset, colours, "RGB", 8)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset, colours


def test_colour_images_are_stacks_of_red_green_blue() -> None:
    made = [picture(InstanceNumber=number) for number in (2, 1)]
    volume = Volume.from_instances([encode(dataset) for dataset, _ in made])
    assert volume.colour
    assert not volume.spatial
    assert np.array_equal(volume.array, np.stack([made[1][1], made[0][1]]))


def test_a_cine_loop_is_a_stack_with_its_pixel_spacing() -> None:
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.05, 0.04
    dataset, colours = picture(5, SequenceOfUltrasoundRegions=[region], FrameTime="40")
    volume = Volume.from_instances([encode(dataset)])
    assert np.array_equal(volume.array, colours)
    assert volume.geometry.spacing == pytest.approx((1, 0.4, 0.5))
    assert volume.sources[4] == (str(dataset.SOPInstanceUID), 5)
    assert volume.plan is not None
    assert (volume.plan.frame_time, volume.plan.lead.frame_time_by) == (40, "Frame Time")


@pytest.mark.parametrize(
    ("stated", "time", "by"),
    [
        ({"FrameTime": "40", "CineRate": "10"}, 40, "Frame Time"),
        ({"FrameTime": "0", "RecommendedDisplayFrameRate": "20"}, 50, "Recommended Display Frame Rate"),
        ({"CineRate": "25"}, 40, "Cine Rate"),
        ({}, None, ""),
    ],
)
def test_the_rate_of_a_loop_is_known_with_the_attribute_that_states_it(
    stated: dict[str, str], time: float | None, by: str
) -> None:
    (plan,) = split_series([picture(3, **stated)[0]])
    assert (plan.frame_time, plan.lead.frame_time_by) == (time, by)


def test_a_palette_is_applied() -> None:
    dataset = composite(SecondaryCaptureImageStorage)
    put_pixels(dataset, np.array([[0, 1], [2, 1]], np.uint8))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for colour, entries in (("Red", [0, 255, 10]), ("Green", [0, 128, 20]), ("Blue", [0, 64, 30])):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(
            dataset,
            f"{colour}PaletteColorLookupTableData",
            np.array([e * 257 for e in entries], "<u2").tobytes(),
        )
    volume = Volume.from_instances([encode(dataset)])
    assert volume.array[0].tolist() == [[[0, 0, 0], [255, 128, 64]], [[10, 20, 30], [255, 128, 64]]]


def test_only_the_frames_of_the_plan_are_taken() -> None:
    from tests.imaging.test_frame_planes import enhanced

    dataset = enhanced()
    frames = values((8, 10, 12), "uint16")
    put_pixels(dataset, frames)
    first, second = split_series([dataset])
    assert np.array_equal(
        Volume.from_instances([encode(dataset)], plan=first).array, frames[[2, 6, 0, 4]] * 2 + 1
    )
    assert np.array_equal(
        Volume.from_instances([encode(dataset)], plan=second).array, frames[[3, 7, 1, 5]] * 2 + 1
    )


def test_a_dose_grid_is_scaled_and_placed() -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.481.2", FrameOfReferenceUID="1.2")
    put_pixels(dataset, np.arange(24, dtype=np.uint16).reshape(3, 2, 4))
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = (
        ["1", "2", "3"],
        ["1", "0", "0", "0", "1", "0"],
    )
    dataset.PixelSpacing, dataset.GridFrameOffsetVector = ["2", "2"], ["0", "-2.5", "-5"]
    dataset.DoseGridScaling, dataset.DoseUnits = "0.01", "GY"
    volume = Volume.from_instances([encode(dataset)])
    assert volume.geometry.origin == (1, 2, -2)
    assert volume.geometry.spacing == (2.5, 2, 2)
    assert volume.array[0, 0, 0] == pytest.approx(0.16)
    assert volume.units == "GY"


@pytest.mark.parametrize(
    "harm",
    [
        lambda one: one.PixelData.__class__(one.PixelData[:10]),
        lambda one: b"",
    ],
)
def test_broken_pixels_are_reported_with_their_instance(harm: Any) -> None:
    instances = scan(values())
    instances[2].dataset.PixelData = harm(instances[2].dataset)
    with pytest.raises(GeometryError, match="cannot be decoded") as caught:
        Volume.from_instances([one.dataset for one in instances])
    assert caught.value.instances == (instances[2].instance,)


def test_what_is_not_dicom_video_or_of_another_size_is_refused_in_words() -> None:
    with pytest.raises(GeometryError, match="DICOM"):
        Volume.from_instances([b"not DICOM at all" * 20])
    instances = scan(values())
    instances[0].dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    with pytest.raises(GeometryError, match="video"):
        Volume.from_instances([one.dataset for one in instances])
    small = scan(values((1, 4, 4)))[0].dataset
    plans = split_series(headers(scan(values())))
    small.SOPInstanceUID = plans[0].instances[0]
    with pytest.raises(GeometryError, match="4 x 4 pixels where 10 x 12"):
        fill_slice(allocate(plans[0]), small)


@pytest.mark.slow
def test_a_header_that_claims_too_much_memory_is_refused() -> None:
    with pytest.raises(GeometryError, match="memory"):
        allocate(split_series(headers(scan(np.zeros((40, 2, 2), np.int16), Rows=65535, Columns=65535)))[0])


def ramp(geometry: VolumeGeometry) -> np.ndarray:
    """Return a linear function of the position in the patient, which linear interpolation keeps."""
    points = geometry.to_lps(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return (points @ [1.0, 2.0, -3.0] + 5).astype(np.float64)


def test_resampling_keeps_the_place_in_the_patient() -> None:
    source = grid((12, 20, 20), oblique((0.1, 0.2, 0.3), (2, 1, 1), (0, 0, 0)))
    turned = source.part((3, 5, 5), (8, 15, 15))
    target = VolumeGeometry((4, 5, 6), oblique((0.15, 0.2, 0.2), (1.5, 1, 1), turned.origin))
    finer = VolumeGeometry((8, 14, 14), turned.affine @ np.diag([0.5, 0.7, 0.7, 1]))
    for wanted in (target, finer):
        found = resample(ramp(source), source, wanted, linear=True, fill=np.nan)
        assert not np.isnan(found).all()
        inside = ~np.isnan(found)
        assert np.allclose(found[inside], ramp(wanted)[inside])


def test_the_nearest_voxel_of_labels() -> None:
    labels = values((4, 6, 6), "uint8")
    flipped = grid((4, 6, 6)).affine @ np.array([[-1, 0, 0, 3], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    found = resample(labels, grid((4, 6, 6)), VolumeGeometry((4, 6, 6), flipped), linear=False)
    assert np.array_equal(found, labels[::-1].swapaxes(1, 2))


def test_a_straightened_volume_shows_each_point_where_it_is() -> None:
    affine = AXIAL.copy()
    affine[:3, 0] = (0, 0.9, 2)
    geometry = grid((8, 20, 12), affine)
    volume = Volume(ramp(geometry), geometry)
    straight = volume.straightened()
    assert not straight.geometry.sheared
    assert straight.geometry.spacing == pytest.approx((2, 0.7, 0.7))
    assert straight.array.shape == (8, 29, 12)
    held = straight.array != 0
    assert held.sum() >= 8 * 19 * 12
    assert np.allclose(straight.array[held], ramp(straight.geometry)[held])
    assert volume.straightened().straightened().array.shape == straight.array.shape
    assert Volume(values(), grid()).straightened().array.shape == (6, 10, 12)


SAME = [
    "LittleEndianImplicit",
    "LittleEndianExplicit",
    "BigEndianExplicit",
    "DeflatedExplicit",
    "RLELossless",
    "JPEG2000LosslessOnly",
    "JPEGLSLossless",
    "JPEGProcess14T",
    "JPEGProcess14SV1",
]
CLOSE = {
    "JPEG2000Transfer": 6,
    "JPEGLSLossy": 2,
    "JPEGProcess1T": 70,
    "JPEGProcess2_4": 40,
    "JPEGProcess6_8": 40,
    "JPEGProcess10_12": 40,
}


@pytest.mark.parametrize("name", [*SAME, *CLOSE])
def test_one_real_slice_in_every_transfer_syntax(name: str) -> None:
    folder = shared_data("zoo", "transfer-syntaxes")
    due = Volume.from_instances([(folder / "CTImage.dcm").read_bytes()]).array
    (file,) = folder.glob(f"CTImage.dcm_{name}*")
    found = Volume.from_instances([file.read_bytes()]).array
    assert np.abs(found.astype(float) - due).max() <= CLOSE.get(name, 0)


@pytest.mark.parametrize(
    "name",
    [
        "TestPattern_JPEG-Baseline_YBRFull",
        "TestPattern_JPEG-Baseline_YBR422",
        "TestPattern_JPEG-LS-Lossless",
        "TestPattern_JPEG-Lossless_RGB",
        "TestPattern_Palette",
        "TestPattern_Palette_16",
    ],
)
def test_one_real_picture_in_every_colour_model(name: str) -> None:
    folder = shared_data("zoo", "transfer-syntaxes")
    due = Volume.from_instances([(folder / "TestPattern_RGB.dcm").read_bytes()]).array.astype(int)
    found = Volume.from_instances([(folder / f"{name}.dcm").read_bytes()]).array
    lossless = "Lossless" in name
    assert np.abs(found - due).mean() <= (0 if lossless else 6)


@pytest.mark.slow
def test_a_real_oblique_head_is_what_pydicom_reads() -> None:
    files = sorted(shared_data("mr-head").glob("*.dcm"))
    volume = Volume.from_instances([file.read_bytes() for file in files])
    one = pydicom.dcmread(files[100])
    k = next(k for k, source in enumerate(volume.sources) if source and source[0] == one.SOPInstanceUID)
    assert np.array_equal(volume.array[k], one.pixel_array)
    assert np.allclose(
        volume.geometry.to_lps([k, 0, 0]), [float(v) for v in one.ImagePositionPatient], atol=1e-3
    )


@pytest.mark.slow
def test_real_ultrasound_and_enhanced_mr() -> None:
    folder = shared_data("zoo")
    ultrasound = Volume.from_instances(
        [(folder / "transfer-syntaxes" / "US-YBR_FULL_422-EVRLE.dcm").read_bytes()]
    )
    assert ultrasound.array.shape == (1, 555, 800, 3)
    assert not ultrasound.spatial
    field = Volume.from_instances([(folder / "enhanced" / "Philips" / "IM_0027_fMAP.dcm").read_bytes()])
    assert field.array.shape == (32, 64, 64)


def test_the_builder_makes_ct() -> None:
    assert scan(values())[0].dataset.SOPClassUID == CTImageStorage
