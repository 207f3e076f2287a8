"""Derived series: what was done, and that it is read back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import MRImageStorage, PositronEmissionTomographyImageStorage

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.derived import cropped, derived_to_dicom, masked, resampled, smoothed
from dicomdock.imaging.segmentation import Mask
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.pixels import valid
from tests.conftest import shared_data
from tests.imaging.scans import AXIAL, check_with_dciodvfy, grid, headers, oblique, scan

SHAPE = (5, 8, 9)
TURNED = oblique((0.2, -0.1, 0.3), (2, 0.7, 0.7), (5, 6, 7))
MR = {
    "SOPClassUID": MRImageStorage,
    "Modality": "MR",
    "ScanningSequence": "SE",
    "SequenceVariant": "NONE",
    "ImageType": ["ORIGINAL", "PRIMARY", "M"],
}
PET = {
    "SOPClassUID": PositronEmissionTomographyImageStorage,
    "Modality": "PT",
    "Units": "BQML",
    "RescaleSlope": "0.5",
    "RescaleIntercept": "0",
    "ImageType": ["ORIGINAL", "PRIMARY"],
}
CT = {
    "RescaleSlope": "1",
    "RescaleIntercept": "0",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "KVP": "120",
}


def values() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 900, SHAPE).astype(np.int16)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [CT, MR, PET])
def test_a_derived_series_is_read_as_it_was_made(kind: dict[str, object], tmp_path: Path) -> None:
    instances = scan(values(), TURNED, **kind)
    volume = Volume.from_instances([one.data for one in instances])
    made = cropped(volume, (1, 2, 3), (4, 8, 9))
    written = derived_to_dicom(made, headers(instances))
    assert len(written) == 3
    found = Volume.from_instances([to_bytes(one) for one in written])
    assert np.allclose(found.array, volume.array[1:4, 2:8, 3:9], atol=0.02)
    assert volume.geometry.offset_of(found.geometry) == (1, 2, 3)
    assert found.units == volume.units
    assert len({one.SOPInstanceUID for one in written}) == 3
    assert len({one.SeriesInstanceUID for one in written}) == 1
    for one in written:
        check_with_dciodvfy(to_bytes(one), tmp_path)
        assert one.ImageType[0] == "DERIVED"
        assert one.StudyInstanceUID == instances[0].study
        assert one.SeriesInstanceUID != instances[0].series
        assert one.FrameOfReferenceUID == instances[0].dataset.FrameOfReferenceUID
        assert one.DerivationDescription == "Cropped"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [CT, MR, PET])
def test_padding_and_what_is_no_number_become_padding(kind: dict[str, object], tmp_path: Path) -> None:
    array = values() + 1
    array[:, :3] = -2000
    sources = scan(array, **{**kind, "PixelPaddingValue": -2000})
    volume = Volume.from_instances([one.dataset for one in sources])
    holed = volume.array.astype(np.float32)
    holed[:, :3] = np.nan
    holed[:, 0] = np.inf
    for one in (volume, replace(volume, array=holed), replace(volume, array=np.full_like(holed, np.nan))):
        made = cropped(one, (0, 0, 0), volume.geometry.shape)
        written = derived_to_dicom(made, headers(sources))
        check_with_dciodvfy(to_bytes(written[0]), tmp_path)
        found = Volume.from_instances([to_bytes(part) for part in written])
        image = valid(found.array, found.padding)
        assert np.array_equal(image, valid(one.array, one.padding))
        assert np.allclose(found.array[image], one.array[image], atol=0.02)


def test_slices_that_lie_on_source_slices_refer_to_them_alone() -> None:
    instances = scan(values(), **CT)
    volume = Volume.from_instances([one.data for one in instances])
    written = derived_to_dicom(smoothed(volume, 1.0), headers(instances))
    for one, source in zip(written, instances, strict=True):
        assert [item.ReferencedSOPInstanceUID for item in one.SourceImageSequence] == [source.instance]


@pytest.mark.slow
def test_resampled_slices_refer_to_the_images_beside_them() -> None:
    instances = scan(values(), AXIAL, **CT)
    volume = Volume.from_instances([one.data for one in instances])
    k, j, i = volume.geometry.spacing
    written = derived_to_dicom(resampled(volume, (k / 2, j, i)), headers(instances))
    order = {one.instance: number for number, one in enumerate(instances)}
    named = [
        [order[item.ReferencedSOPInstanceUID] for item in one.SourceImageSequence] for one in written[:4]
    ]
    # Slices lie at -1/4, 1/4, 3/4 and 5/4 of the distance between two images.
    assert [sorted(one) for one in named] == [[0], [0, 1], [0, 1], [1, 2]]


def test_smoothing_keeps_the_sum_and_a_flat_image() -> None:
    flat = Volume(np.full(SHAPE, 100, np.int16), grid(SHAPE))
    assert (smoothed(flat, 2.0).volume.array == 100).all()
    spike = np.zeros((21, 21, 21), np.float32)
    spike[10, 10, 10] = 1000
    made = smoothed(Volume(spike, grid((21, 21, 21), np.diag([1, 1, 1, 1.0])[:, [2, 1, 0, 3]])), 1.5)
    assert made.volume.array.sum() == pytest.approx(1000, rel=1e-3)
    points = np.indices(spike.shape).reshape(3, -1).T - 10
    spread = (made.volume.array.reshape(-1)[:, None] * points**2).sum(axis=0) / 1000
    assert spread == pytest.approx([2.25] * 3, rel=0.05)
    assert made.words == "Gaussian blur, 1.5 mm"


def test_resampling_covers_the_same_room() -> None:
    volume = Volume(np.full(SHAPE, 7, np.int16), grid(SHAPE))
    made = resampled(volume, (1.0, 1.4, 0.35)).volume
    assert made.array.shape == (10, 4, 18)
    assert (made.array == 7).all()
    assert made.geometry.spacing == pytest.approx((1, 1.4, 0.35))
    edges = [np.array(v.geometry.to_lps([-0.5, -0.5, -0.5])) for v in (volume, made)]
    assert np.allclose(*edges)


def test_masking_blanks_with_air() -> None:
    array = values()
    volume = Volume(array, grid(SHAPE), units="HU")
    mask = Mask.of(array > 450)
    assert (masked(volume, mask).volume.array == np.where(array > 450, array, -1024)).all()
    assert (masked(volume, mask, keep=False).volume.array == np.where(array > 450, -1024, array)).all()


def test_fractions_are_stored_with_a_rescale() -> None:
    instances = scan(values(), **CT)
    volume = Volume(np.linspace(-5.5, 7.25, np.prod(SHAPE)).reshape(SHAPE), grid(SHAPE), units="HU")
    made = cropped(volume, (0, 0, 0), SHAPE)
    found = Volume.from_instances([to_bytes(one) for one in derived_to_dicom(made, headers(instances))])
    assert np.abs(found.array - volume.array).max() < 13 / 65535


def test_more_voxels_than_fit_are_refused() -> None:
    volume = Volume.from_instances([one.data for one in scan(values(), **CT)])
    with pytest.raises(GeometryError, match="choose larger"):
        resampled(volume, (0.001, 0.001, 0.001))


def test_what_cannot_be_written_is_reported_in_words() -> None:
    instances = headers(scan(values(), AXIAL, **CT))
    flat = Volume(np.zeros(SHAPE, np.int16), grid(SHAPE), spatial=False)
    with pytest.raises(GeometryError, match="place in the patient"):
        derived_to_dicom(cropped(flat, (0, 0, 0), SHAPE), instances)
    good = cropped(Volume(values(), grid(SHAPE)), (0, 0, 0), SHAPE)
    with pytest.raises(GeometryError, match="needs the images"):
        derived_to_dicom(good, [])
    instances[0].SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    with pytest.raises(GeometryError, match="CT, MR and PET"):
        derived_to_dicom(good, instances)
    with pytest.raises(GeometryError, match="does not lie"):
        cropped(flat, (0, 0, 0), (9, 9, 9))


@pytest.mark.slow
def test_a_real_head_cropped(tmp_path: Path) -> None:
    files = sorted(shared_data("mr-head").glob("*.dcm"))[100:110]
    volume = Volume.from_instances([file.read_bytes() for file in files])
    sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    written = derived_to_dicom(cropped(volume, (2, 100, 50), (6, 200, 150)), sources)
    found = Volume.from_instances([to_bytes(one) for one in written])
    assert np.array_equal(found.array, volume.array[2:6, 100:200, 50:150])
    check_with_dciodvfy(to_bytes(written[0]), tmp_path)
