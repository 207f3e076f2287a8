"""Segmentations, structures, reports and maps still belong to their images, and are as valid as before."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.measurements import Report, distance, read_report, report_to_dicom
from dicomdock.imaging.parametric import ParametricMap, parametric_map_to_dicom, read_parametric_map
from dicomdock.imaging.rtstruct import read_structures, structures_to_dicom
from dicomdock.imaging.segmentation import Segmentation, read_segmentation, segmentation_to_dicom
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume
from tests.builders import Made
from tests.deidentify.conftest import deidentified
from tests.imaging.scans import headers, scan

SHAPE = (4, 10, 12)
PROFILES = ["basic", "basic,retain-modified-dates,clean-descriptors,clean-structured-content,clean-graphics"]


@pytest.fixture(scope="module")
def images() -> list[Made]:
    return scan(np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16))


def labels() -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, 2:7, 3:9] = 1
    array[3:, 5:9, 1:6] = 2
    return array


def objects(images: list[Made]) -> dict[str, bytes]:
    """Return an object of each kind that this program makes of images."""
    sources = headers(images)
    geometry = split_series(sources)[0].geometry
    drawn = Segmentation.from_array(labels(), geometry, names=["left kidney", "tumor"])
    values = Volume(labels().astype(np.float32), geometry)
    unit, quantity = Code("mm2/s", "UCUM", "mm2/s"), Code("113041", "DCM", "Apparent Diffusion Coefficient")
    measured = distance("length", (1, 2, 3), (4, 5, 6), image=(images[2].instance, 1))
    made = {
        "segmentation": segmentation_to_dicom(drawn, sources),
        "structures": structures_to_dicom(drawn, sources),
        "report": report_to_dicom(Report((measured,)), sources),
        "map": parametric_map_to_dicom(ParametricMap(values, unit, quantity, "ADC"), sources),
    }
    return {name: to_bytes(dataset) for name, dataset in made.items()}


def copies(images: list[Made], profile: str) -> list[Made]:
    outcomes = [deidentified(one.data, profile) for one in images]
    return [Made(dcmread(io.BytesIO(one.data)), one.data) for one in outcomes]


def uids(dataset: Dataset) -> Iterator[str]:
    for element in dataset.iterall():
        if element.VR == "UI":
            yield from [element.value] if isinstance(element.value, str) else element.value


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_objects_still_lie_on_their_images(images: list[Made], profile: str) -> None:
    made = copies(images, profile)
    sources = headers(made)
    geometry = split_series(sources)[0].geometry
    there = {name: deidentified(data, profile) for name, data in objects(images).items()}
    old = {one.instance for one in images} | {images[0].study, images[0].series}
    new = {one.instance for one in made}
    for name, copy in there.items():
        found = {*uids(copy.dataset)}
        assert found.isdisjoint(old), name
        assert found & new, name
        assert copy.dataset.StudyInstanceUID == made[0].study
        assert copy.dataset.PatientID == made[0].dataset.PatientID
    segmentation = read_segmentation(there["segmentation"].data, onto=geometry)
    assert np.array_equal(segmentation.to_array(), labels())
    assert [one.label for one in segmentation.segments] == ["left kidney", "tumor"]
    structures = read_structures(there["structures"].data, geometry)
    assert structures.source_series == made[0].series
    assert np.array_equal(structures.to_array(), labels())
    assert set(read_parametric_map(there["map"].data).source_instances) == new
    report = read_report(there["report"].data)
    assert report.measurements[0].image == (made[2].instance, 1)
    numbers = [value.number for value in report.measurements[0].values]
    assert bool(numbers) == ("clean-structured-content" in profile)


def errors(data: bytes, folder: Path) -> Counter[str]:
    """Return the errors that dciodvfy finds, without the UIDs in them."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not here; to run this test: apt install dicom3tools")
    file = folder / "object.dcm"
    file.write_bytes(data)
    done = subprocess.run([program, "-new", file], capture_output=True, timeout=120, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return Counter(re.sub(r"<[\d.]{9,}>", "<>", line) for line in lines if line.startswith("Error"))


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_the_validator_finds_no_new_error(images: list[Made], profile: str, tmp_path: Path) -> None:
    for name, data in {"image": images[0].data, **objects(images)}.items():
        new = errors(deidentified(data, profile).data, tmp_path) - errors(data, tmp_path)
        assert not new, name
