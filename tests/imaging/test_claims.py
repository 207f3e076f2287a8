"""Small files that claim much: a sentence, within 5 s and 500 MB; see SECURITY.md for the bounds."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomdock.errors import GeometryError, UnreadableFile
from dicomdock.imaging.formats.nifti import segmentation_from_nifti, volumes_from_nifti
from dicomdock.imaging.formats.nrrd import segmentation_from_nrrd, segmentation_to_nrrd
from dicomdock.imaging.formats.unpack import allowance, unpack
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Segmentation, label_map
from dicomdock.imaging.segmentation import mask as mask_module
from dicomdock.imaging.segmentation.label_map import masks_of
from dicomdock.imaging.segmentation.mask import Mask
from tests.machine import processor_time

NRRD = """NRRD0004
type: {kind}
dimension: 3
space: left-posterior-superior
sizes: {sizes}
space directions: (1,0,0) (0,1,0) (0,0,1)
kinds: domain domain domain
endian: little
encoding: {encoding}
space origin: (0,0,0)

"""


def nifti(shape: tuple[int, ...], kind: type = np.uint8, **fields: float) -> bytes:
    """Return a header that claims an array, without it."""
    header = nib.Nifti1Header()
    header.set_data_dtype(kind)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    for name, value in fields.items():
        header[name] = value
    header["magic"] = b"n+1"
    return header.binaryblock + bytes(4)


def bomb(head: bytes, size: int) -> bytes:
    packer = zlib.compressobj(6, wbits=zlib.MAX_WBITS | 16)
    parts = [packer.compress(head)]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def corners(labels: int, shape: tuple[int, int, int]) -> bytes:
    """Return a small packed label map with labels in opposite corners: each one's box is the whole image."""
    values = np.zeros(shape, np.uint8).reshape(-1)
    values[1 : labels + 1] = values[-1 : -labels - 1 : -1] = np.arange(1, labels + 1)
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    return packer.compress(nifti(shape[::-1])) + packer.compress(values) + packer.flush()


def time_points(count: int) -> bytes:
    """Return a packed NIfTI-2 file of single voxels in time."""
    header = nib.Nifti2Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((1, 1, 1, count))
    header["vox_offset"] = 544
    return gzip.compress(header.binaryblock + bytes(4 + count), 1)


def layers(count: int, *, segments: int) -> bytes:
    """Return a packed NRRD file of single voxels in layers, with keys of so many segments."""
    head = NRRD.format(kind="uint8", sizes=f"{count} 1 1 1", encoding="gzip").replace(": 3", ": 4")
    head = head.replace("directions: ", "directions: none ").replace("kinds: ", "kinds: list ")
    keys = "".join(f"Segment{number}_LabelValue:=1\n" for number in range(segments))
    return f"{head[:-1]}{keys}\n".encode() + gzip.compress(bytes([1]) * count, 1)


def claims() -> dict[str, bytes]:
    packed = bomb(b"", 64 << 20)
    return {
        "nii": nifti((30000, 30000, 10)),
        "nii scaled": nifti((500, 500, 500), scl_slope=0.5) + bytes(1000),
        "nii.gz": gzip.compress(nifti((1000, 1000, 500))) + packed * 8,
        "nii.gz scaled": gzip.compress(nifti((500, 500, 250), scl_slope=0.5)) + packed,
        "nii.gz with more than it claims": gzip.compress(nifti((100, 100, 10))) + packed * 8,
        "nii.gz with labels far apart": corners(4, (180, 1000, 1000)),
        "nii.gz of 10 million time points": time_points(10_000_000),
        "nrrd of 20,000 layers": layers(20_000, segments=1),
        "nrrd of 10 million layers": layers(10_000_000, segments=0),
        "nrrd of 35,000 segments": layers(1, segments=35_000),
        "nrrd": NRRD.format(kind="uint8", sizes="30000 30000 10", encoding="raw").encode(),
        "nrrd gzip": NRRD.format(kind="double", sizes="30000 30000 10", encoding="gzip").encode() + packed,
        "nrrd bomb": NRRD.format(kind="uchar", sizes="10 10 10", encoding="gzip").encode() + packed * 8,
        "nrrd text": NRRD.format(kind="int", sizes="3000 3000 3000", encoding="ascii").encode() + b"1 2 3",
    }


CHILD = """
import resource
from dicomdock.errors import DicomdockError
from dicomdock.imaging.formats.nifti import segmentation_from_nifti, volumes_from_nifti
from dicomdock.imaging.formats.nrrd import segmentation_from_nrrd, volume_from_nrrd
from tests.imaging.test_claims import claims
made = claims()
assert max(map(len, made.values())) < 1 << 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, data in made.items():
    for read in (volumes_from_nifti, segmentation_from_nifti, volume_from_nrrd, segmentation_from_nrrd):
        try:
            read(data)
        except DicomdockError as error:
            print(name, error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_what_is_claimed_is_compared_with_what_is_there():
    with processor_time(at_most=25):  # for all of them
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", CHILD],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    assert int(ran.stdout.split()[-1]) < 500 << 10


def test_honest_files_of_any_packing_are_read():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nib.Nifti1Image(array.transpose(2, 1, 0), np.eye(4))
    plain = image.to_bytes()
    halves = gzip.compress(plain[:100]) + gzip.compress(plain[100:])
    for data in (plain, gzip.compress(plain), halves):
        assert np.array_equal(volumes_from_nifti(data)[0].array, array)
    with pytest.raises(UnreadableFile, match="has 47"):
        volumes_from_nifti(plain[:-1])
    with pytest.raises(UnreadableFile):
        volumes_from_nifti(gzip.compress(plain)[:-20])
    image.header.set_slope_inter(0.5, -3)
    scaled = nib.Nifti1Image(array.transpose(2, 1, 0) * 0.5 - 3, np.eye(4), image.header)
    scaled.set_data_dtype(np.int16)
    assert np.allclose(volumes_from_nifti(scaled.to_bytes())[0].array, array * 0.5 - 3, atol=1e-3)


def test_more_time_points_and_layers_than_can_be_meant_are_named():
    with pytest.raises(UnreadableFile, match="40,000 volumes; 32,767 are read"):
        volumes_from_nifti(time_points(40_000))
    with pytest.raises(UnreadableFile, match="three dimensions"):
        segmentation_from_nifti(time_points(2))
    with pytest.raises(UnreadableFile, match="70,000 layers; 65,535 are read"):
        segmentation_from_nrrd(layers(70_000, segments=0))
    assert len(volumes_from_nifti(time_points(3))) == 3


@pytest.mark.slow
@settings(max_examples=60)
@given(arrays(np.bool_, st.tuples(st.integers(0, 5), *[st.integers(1, 4)] * 3)), st.booleans())
def test_masks_that_share_a_voxel_are_found(array, pairs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_module, "MOST_COUNTED", 0 if pairs else 1 << 29)
        assert mask_module.overlap(map(Mask.of, array)) == bool((array.sum(axis=0) > 1).any())


@pytest.mark.slow
@given(arrays(np.bool_, st.tuples(st.just(2), *[st.integers(1, 3)] * 3)))
def test_masks_are_compared_whatever_their_boxes(pair):
    one, other = pair
    loose = Mask((0, 0, 0), one)
    assert Mask.of(one).same(loose) and loose.same(Mask.of(one))
    assert Mask.of(one).same(Mask.of(other)) == bool(np.array_equal(one, other))
    assert loose.shared(Mask.of(other)) == int((one & other).sum())


@pytest.mark.slow
def test_many_segments_are_compared_and_written_in_time_that_grows_with_their_voxels():
    """3,000 took 17 s, and 18 s to be written."""
    labels = np.arange(1, 3001, dtype=np.uint16).reshape(30, 10, 10)
    made = Segmentation.from_array(labels, VolumeGeometry.from_ijk_to_ras((30, 10, 10), np.eye(4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mask, "overlaps", None)  # none is compared with another one
        assert not made.overlapping
        again = segmentation_from_nrrd(segmentation_to_nrrd(made))
    assert np.array_equal(again.to_array(), labels)


@pytest.mark.slow
@given(st.binary(max_size=3000), st.integers(0, 4000))
def test_unpacking_gives_the_beginning(data, limit):
    assert unpack(gzip.compress(data), limit) == data[:limit]
    assert allowance(len(data)) >= len(data)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    arrays(np.uint16, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 40)), st.integers(1, 30)
)
def test_label_maps_of_any_kind_are_taken_apart(array, times):
    wide = np.repeat(np.repeat(array, times, axis=1), times, axis=2)
    masks = masks_of(wide)
    assert sorted(masks) == sorted(set(np.unique(wide).tolist()) - {0})
    for value, mask in masks.items():
        assert np.array_equal(mask.whole(wide.shape), wide == value)
        assert mask.array.any(axis=(1, 2)).all() or mask.array.shape[0] > 1


@pytest.mark.slow
@given(arrays(np.uint16, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 5)), st.integers(1, 50))
def test_blocks_of_any_size_give_the_same_masks(array, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_map, "BLOCK", block)
        for value, mask in masks_of(array).items():
            assert np.array_equal(mask.whole(array.shape), array == value)
            assert Mask.of(array == value).array.shape == mask.array.shape


@pytest.mark.slow
def test_labels_that_alternate_are_given_up_early():
    """A file of 947 kB took 36 s and 9 GB."""
    stripes = np.tile(np.arange(250, dtype=np.uint8), (16, 1024, 4))
    with pytest.raises(GeometryError, match="need more than 8 MB"):
        masks_of(stripes, most=8 << 20)
    one = masks_of(stripes == 3, most=stripes.size)
    assert one[1].array.sum() == 16 * 1024 * 4


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), -1.0, 65536.0, -1, 1 << 40])
def test_values_that_are_not_labels_are_refused(value):
    with pytest.raises(GeometryError, match="whole numbers"):
        masks_of(np.full((2, 2, 2), value))


@pytest.mark.slow
def test_many_scattered_labels_take_one_pass():
    labels = np.random.default_rng(0).permutation(65535 * 8).reshape(8, 255, 257) % 65535
    blocks = np.arange(65535, dtype=np.uint16).reshape(1, 255, 257).repeat(8, axis=0)
    with processor_time(at_most=5):
        with pytest.raises(GeometryError, match="scattered"):
            masks_of(labels.astype(np.uint16))
        assert len(masks_of(blocks)) == 65534
