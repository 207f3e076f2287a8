"""Segmentations by other programs, and real ones."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import nrrd
import numpy as np
import pydicom
import pytest

from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.geometry import VolumeGeometry, split_series
from dicomdock.imaging.segmentation import Segmentation, read_segmentation, segmentation_to_dicom
from dicomdock.imaging.volume import Volume
from tests.conftest import shared_data
from tests.imaging.scans import check_with_dciodvfy, headers, oblique, scan
from tests.imaging.test_segmentation import SHAPE, file_of, labels, overlapping, source


@pytest.mark.slow
def test_highdicom_reads_the_same_voxels() -> None:
    import highdicom as hd

    images, geometry = source()
    made = overlapping(geometry)
    volume = (
        hd.seg.segread(file_of(to_bytes(segmentation_to_dicom(made, images)))).get_volume().flip_spatial(0)
    )
    offset = geometry.offset_of(VolumeGeometry(volume.spatial_shape, volume.affine))
    assert offset is not None
    k = slice(offset[0], offset[0] + volume.spatial_shape[0])
    assert np.array_equal(volume.array[..., :2] > 0, np.moveaxis(made.to_masks()[:2, k], 0, -1))


def dcmqi(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not here; to run this test: pip install dcmqi")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_dcmqi_reads_the_same_voxels(kind: str, tmp_path: Path) -> None:
    images, geometry = source(affine=oblique((0.2, -0.3, 0.4), (2, 0.7, 0.7), (1, 2, 3)))
    made = Segmentation.from_array(labels(), geometry, names=["liver", "tumor"])
    (tmp_path / "seg.dcm").write_bytes(to_bytes(segmentation_to_dicom(made, images, kind=kind)))
    subprocess.run(
        [
            dcmqi("segimage2itkimage"),
            "--inputDICOM",
            tmp_path / "seg.dcm",
            "--outputDirectory",
            tmp_path,
            "-t",
            "nrrd",
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    found = np.zeros(SHAPE, bool)
    for file in tmp_path.glob("*.nrrd"):
        data, header = nrrd.read(str(file))
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = header["space directions"].T[:, ::-1], header["space origin"]
        offset = geometry.offset_of(VolumeGeometry(data.T.shape, affine))
        assert offset is not None
        k, j, i = offset
        dk, dj, di = data.T.shape
        found[k : k + dk, j : j + dj, i : i + di] |= data.T > 0
    assert np.array_equal(found, labels() > 0)
    described = json.loads((tmp_path / "meta.json").read_text())["segmentAttributes"]
    assert {one["SegmentLabel"] for group in described for one in group} >= {"liver", "tumor"}


@pytest.mark.slow
def test_what_dcmqi_writes_is_read(tmp_path: Path) -> None:
    instances = scan(np.zeros(SHAPE, np.int16), oblique((0.2, -0.3, 0.4), (2, 0.7, 0.7), (1, 2, 3)))
    geometry = split_series(headers(instances))[0].geometry
    folder = tmp_path / "images"
    folder.mkdir()
    for one in instances:
        (folder / f"{one.instance}.dcm").write_bytes(one.data)
    directions = geometry.affine[:3, :3][:, ::-1].T
    nrrd.write(
        str(tmp_path / "labels.nrrd"),
        labels().T,
        {"space": "left-posterior-superior", "space directions": directions, "space origin": geometry.origin},
    )
    tissue = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    segment = {
        "SegmentAlgorithmType": "MANUAL",
        "SegmentedPropertyCategoryCodeSequence": tissue,
        "SegmentedPropertyTypeCodeSequence": tissue,
        "recommendedDisplayRGBValue": [10, 20, 30],
    }
    described = {
        "ContentCreatorName": "Doe",
        "SeriesNumber": "7",
        "InstanceNumber": "1",
        "SeriesDescription": "by dcmqi",
        "segmentAttributes": [[{"labelID": n, "SegmentLabel": f"s{n}", **segment} for n in (1, 2)]],
    }
    (tmp_path / "meta.json").write_text(json.dumps(described))
    subprocess.run(
        [
            dcmqi("itkimage2segimage"),
            "--inputImageList",
            tmp_path / "labels.nrrd",
            "--inputDICOMDirectory",
            folder,
            "--inputMetadata",
            tmp_path / "meta.json",
            "--outputDICOM",
            tmp_path / "seg.dcm",
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    found = read_segmentation((tmp_path / "seg.dcm").read_bytes(), onto=geometry)
    assert np.array_equal(found.to_array(), labels())
    assert found.geometry.matches(geometry)
    assert found.segments[0].colour == (10, 20, 30)
    assert found.source_series == instances[0].series


@pytest.mark.parametrize(
    ("name", "images", "counts"),
    [
        ("liver.dcm", "ct-3slice", [107098]),
        ("partial_overlaps.dcm", "ct-3slice", [9602, 11888, 10743, 6693, 4713]),
        ("sparse-labelmap-noppv.dcm", "24x38x3/image", [630]),
        ("sparse-labelmap-ppv5.dcm", "24x38x3/image", [630]),
        ("24x38x3/seg/label.seg", "24x38x3/image", [315]),
        ("23x38x3/seg/label.seg", "23x38x3/image", [322]),
    ],
)
def test_real_segmentations(name: str, images: str, counts: list[int]) -> None:
    folder = shared_data("zoo", "seg-sr-pm", "segmentations")
    volume = Volume.from_instances([file.read_bytes() for file in (folder / images).iterdir()])
    found = read_segmentation((folder / name).read_bytes(), onto=volume.geometry)
    assert found.geometry.matches(volume.geometry)
    assert [one.mask.count for one in found.segments] == counts
    assert found.overlapping == (name == "partial_overlaps.dcm")


@pytest.mark.slow
def test_a_real_head_segmented_and_read_again(tmp_path: Path) -> None:
    files = sorted(shared_data("mr-head").glob("*.dcm"))
    images = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    geometry = split_series(images)[0].geometry
    k, j, i = np.ogrid[:384, :384, :274]
    array = ((k - 190) ** 2 + (j - 200) ** 2 + (i - 130) ** 2 < 60**2).astype(np.uint8)
    data = to_bytes(segmentation_to_dicom(Segmentation.from_array(array, geometry, names=["Brain"]), images))
    assert np.array_equal(read_segmentation(data, onto=geometry).to_array(), array)
    check_with_dciodvfy(data, tmp_path)
