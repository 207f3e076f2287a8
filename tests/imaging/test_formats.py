"""NIfTI and NRRD: the same voxels at the same place, also for other programs."""

from __future__ import annotations

import io

import nibabel as nib
import nrrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomdock.errors import GeometryError, UnreadableFile
from dicomdock.imaging.formats.nifti import (
    segmentation_from_nifti,
    segmentation_to_nifti,
    volume_to_nifti,
    volumes_from_nifti,
)
from dicomdock.imaging.formats.nrrd import (
    segmentation_from_nrrd,
    segmentation_to_nrrd,
    volume_from_nrrd,
    volume_to_nrrd,
)
from dicomdock.imaging.geometry import VolumeGeometry, split_series
from dicomdock.imaging.segmentation import Segmentation, read_segmentation, segmentation_to_dicom
from dicomdock.imaging.volume import Volume
from tests.imaging.scans import AXIAL, grid, headers, oblique, scan

SHAPE = (4, 5, 6)
OBLIQUE = grid(SHAPE, oblique((0.3, -0.2, 0.5), (2, 0.8, 0.6), (10, -20, 30)))


def values(dtype: str = "int16", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) % 200).astype(dtype)


@pytest.mark.parametrize("dtype", ["int16", "uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("compress", [True, False])
def test_volumes_survive_nifti(dtype: str, compress: bool) -> None:
    (found,) = volumes_from_nifti(volume_to_nifti(Volume(values(dtype), OBLIQUE), compress=compress))
    assert np.array_equal(found.array, values(dtype))
    assert found.array.dtype == np.dtype(dtype)
    assert found.geometry.matches(OBLIQUE)
    assert found.remarks == ()


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_volumes_survive_nrrd(dtype: str) -> None:
    found = volume_from_nrrd(volume_to_nrrd(Volume(values(dtype), OBLIQUE)))
    assert np.array_equal(found.array, values(dtype))
    assert found.geometry.matches(OBLIQUE)


def test_colours_survive_both() -> None:
    colours = values("uint8", (*SHAPE, 3))
    assert np.array_equal(volumes_from_nifti(volume_to_nifti(Volume(colours, OBLIQUE)))[0].array, colours)
    assert np.array_equal(volume_from_nrrd(volume_to_nrrd(Volume(colours, OBLIQUE))).array, colours)


def test_other_programs_find_each_voxel_where_it_was() -> None:
    volume = Volume(values(), OBLIQUE)
    k, j, i = 1, 2, 3
    lps = OBLIQUE.to_lps([k, j, i])
    image = nib.Nifti1Image.from_bytes(volume_to_nifti(volume, compress=False))
    assert image.get_fdata()[i, j, k] == volume.array[k, j, i]
    assert np.allclose((image.affine @ [i, j, k, 1])[:3], lps * [-1, -1, 1], atol=1e-4)
    header = nrrd.read_header(io.BytesIO(volume_to_nrrd(volume)))
    assert header["space"] == "left-posterior-superior"
    assert np.allclose([i, j, k] @ header["space directions"] + header["space origin"], lps)


def test_a_tilted_gantry_survives() -> None:
    affine = AXIAL.copy()
    affine[:3, 0] = (0, 0.5, 2)
    volume = Volume(values(), grid(SHAPE, affine))
    assert volumes_from_nifti(volume_to_nifti(volume))[0].geometry.matches(volume.geometry)
    assert volume_from_nrrd(volume_to_nrrd(volume)).geometry.matches(volume.geometry)


def test_time_points_are_volumes() -> None:
    data = np.arange(48).reshape(2, 3, 4, 2).astype(np.int16)
    image = nib.Nifti1Image(data, np.eye(4))
    image.header.set_xyzt_units("meter")
    first, second = volumes_from_nifti(image.to_bytes())
    assert first.array.shape == (4, 3, 2)
    assert second.name == "time point 2"
    assert np.array_equal(second.array, data[..., 1].T)
    assert first.geometry.spacing == (1000, 1000, 1000)


@pytest.mark.slow
@settings(max_examples=20)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3), st.integers(0, 2**32 - 1))
def test_a_label_map_with_turned_axes_is_taken_voxel_by_voxel(
    order: list[int], flips: tuple[bool, ...], seed: int
) -> None:
    array = np.random.default_rng(seed).integers(0, 4, SHAPE).astype(np.uint8)
    due = Segmentation.from_array(array, OBLIQUE)
    turned = array.transpose(order)
    affine = OBLIQUE.affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            affine[:, 3] += affine[:, axis] * (turned.shape[axis] - 1)
            affine[:, axis] *= -1
    written = segmentation_to_nifti(Segmentation.from_array(turned, VolumeGeometry(turned.shape, affine)))
    found = segmentation_from_nifti(written, OBLIQUE)
    assert np.array_equal(found.to_array(), due.to_array())
    assert found.geometry.matches(OBLIQUE)
    assert found.remarks == ()


def test_a_label_map_becomes_a_dicom_segmentation_of_its_study() -> None:
    instances = scan(values(), OBLIQUE.affine)
    volume = Volume.from_instances([one.data for one in instances])
    labels = (values() % 3).astype(np.uint8)
    data = segmentation_to_nifti(Segmentation.from_array(labels, OBLIQUE))
    made = segmentation_from_nifti(data, volume, names={1: "liver", 2: "spleen"}, name="imported")
    assert made.frame_of_reference == volume.frame_of_reference
    assert len(made.source_instances) == 4
    written = segmentation_to_dicom(made, headers(instances))
    assert written.StudyInstanceUID == instances[0].study
    found = read_segmentation(written, onto=split_series(headers(instances))[0].geometry)
    assert np.array_equal(found.to_array(), labels)
    assert [one.terminology.kind.meaning for one in found.segments] == ["Liver", "Spleen"]


def test_slicers_segmentations_keep_names_colours_codes_and_overlaps() -> None:
    masks = np.zeros((3, *SHAPE), bool)
    masks[0, :3] = masks[1, 2:] = True
    made = Segmentation.from_array(
        masks, OBLIQUE, names=["left kidney", "mass", "empty"], colours=[(10, 20, 30)]
    )
    data = segmentation_to_nrrd(made)
    found = segmentation_from_nrrd(data, OBLIQUE)
    assert np.array_equal(found.to_masks(), masks)
    assert [one.label for one in found.segments] == ["left kidney", "mass", "empty"]
    assert found.segments[0].colour == (10, 20, 30)
    assert found.segments[0].terminology == made.segments[0].terminology
    header = nrrd.read_header(io.BytesIO(data))
    assert header["kinds"][0] == "list"
    assert (header["Segment0_Layer"], header["Segment1_Layer"]) == ("0", "1")


@pytest.mark.slow
@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")) | st.sampled_from("\n \\")),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=60)
def test_names_of_segments_survive_nrrd_in_any_script(labels: list[str]) -> None:
    names = [f"a{label}b" for label in labels]
    made = Segmentation.from_array(np.ones((len(names), 2, 2, 2), bool), grid((2, 2, 2)), names=names)
    data = segmentation_to_nrrd(made)
    found = segmentation_from_nrrd(data)
    assert [one.label for one in found.segments] == names
    if not {"\n", "\\"} & set(names[0]):
        assert f"\nSegment0_Name:={names[0]}\n".encode() in data  # as Slicer writes it
    assert found.to_masks().all()


def test_a_plain_nrrd_label_map_in_ras() -> None:
    file = io.BytesIO()
    labels = (values() % 3).astype(np.uint8)
    directions = OBLIQUE.affine[:3, :3].T[::-1] * [-1, -1, 1]
    header = {
        "space": "right-anterior-superior",
        "space directions": directions,
        "space origin": np.array(OBLIQUE.origin) * [-1, -1, 1],
    }
    nrrd.write(file, labels, header, index_order="C")
    found = segmentation_from_nrrd(file.getvalue(), OBLIQUE, names=["a", "b"])
    assert np.array_equal(found.to_array(), labels)
    assert found.remarks == ()


def test_labels_that_a_segment_file_does_not_name_are_segments_too() -> None:
    """Numbers may be left out where a program removed a segment, and whole layers may have no name."""
    layers = np.zeros((2, *SHAPE), np.uint8)
    layers[0, 0, 0, :3] = 1, 2, 3
    layers[1, 1, 1, :2] = 7
    header = {
        "space": "left-posterior-superior",
        "space directions": np.vstack([[np.nan] * 3, np.eye(3)]),
        "space origin": np.zeros(3),
        "Segment0_LabelValue": "1",
        "Segment0_Name": "liver",
        "Segment2_LabelValue": "3",
        "Segment2_Name": "spleen",
    }
    file = io.BytesIO()
    nrrd.write(file, np.moveaxis(layers, 0, -1), header, index_order="C")
    found = segmentation_from_nrrd(file.getvalue())
    voxels = {one.label: int(one.mask.array.sum()) for one in found.segments}
    assert voxels == {"liver": 1, "spleen": 1, "Segment 2": 1, "Segment 7": 2}
    assert found.remarks == ("Labels that the file does not name became segments: 2, 7.",)


def test_a_layer_for_each_segment_without_label_values_keeps_its_names() -> None:
    """As Slicer wrote them until version 4.10."""
    layers = np.zeros((2, *SHAPE), np.uint8)
    layers[0, 0, 0, :3] = 1
    layers[1, 0, 0, 2:4] = 1
    header = {
        "space": "left-posterior-superior",
        "space directions": np.vstack([[np.nan] * 3, np.eye(3)]),
        "space origin": np.zeros(3),
        **{
            f"Segment{at}_{key}": value
            for at, pair in enumerate((("a", "liver"), ("b", "spleen")))
            for key, value in zip(("ID", "Name"), pair, strict=True)
        },
    }
    file = io.BytesIO()
    nrrd.write(file, np.moveaxis(layers, 0, -1), header, index_order="C")
    found = segmentation_from_nrrd(file.getvalue())
    assert [(one.label, int(one.mask.array.sum())) for one in found.segments] == [("liver", 3), ("spleen", 2)]
    assert found.remarks == ()


def test_what_cannot_be_read_or_written_is_reported_in_words() -> None:
    for read in (volumes_from_nifti, volume_from_nrrd, segmentation_from_nifti, segmentation_from_nrrd):
        for data in (b"", b"nonsense" * 100, b"\x1f\x8b nonsense"):
            with pytest.raises(UnreadableFile):
                read(data)
    detached = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: /etc/passwd\n\n"
    with pytest.raises(UnreadableFile, match="another file"):
        volume_from_nrrd(detached)
    masks = np.ones((2, *SHAPE), bool)
    with pytest.raises(GeometryError, match="overlap"):
        segmentation_to_nifti(Segmentation.from_array(masks, OBLIQUE))
    with pytest.raises(GeometryError, match="whole numbers"):
        segmentation_from_nifti(volume_to_nifti(Volume(values("float32") + np.float32(0.5), OBLIQUE)))


def test_files_without_a_place_say_so() -> None:
    image = nib.Nifti1Image(values().T, None)
    assert "does not state" in volumes_from_nifti(image.to_bytes())[0].remarks[0]
    file = io.BytesIO()
    nrrd.write(file, values(), {"spacings": [1.0, 2.0, 3.0]}, index_order="C")
    found = volume_from_nrrd(file.getvalue())
    assert found.geometry.spacing == (3, 2, 1)
    assert "does not state" in found.remarks[0]
