"""Key Object Selections."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.key_objects import (
    TITLES,
    KeyObject,
    KeyObjects,
    key_objects_to_dicom,
    read_key_objects,
)
from tests.builders import multiframe
from tests.imaging.scans import check_with_dciodvfy, headers, scan

SHAPE = (4, 6, 7)
MADE = scan(np.zeros(SHAPE, np.int16))
CHOSEN = KeyObjects(
    TITLES["For Teaching"], (KeyObject(MADE[2].instance), KeyObject(MADE[0].instance)), "Größter Herd"
)


@pytest.mark.slow
def test_a_selection_survives_dicom(tmp_path: Path) -> None:
    data = to_bytes(key_objects_to_dicom(CHOSEN, headers(MADE)))
    check_with_dciodvfy(data, tmp_path)
    found = read_key_objects(data)
    assert (found.title, found.description) == (CHOSEN.title, CHOSEN.description)
    assert [(one.instance, one.series, one.study) for one in found.objects] == [
        (one.instance, MADE[0].series, MADE[0].study) for one in (MADE[2], MADE[0])
    ]


def test_highdicom_finds_the_same_images() -> None:
    written = dcmread(BytesIO(to_bytes(key_objects_to_dicom(CHOSEN, headers(MADE)))))
    document = hd.ko.KeyObjectSelectionDocument.from_dataset(written)
    found = document.content.get_references()
    assert [item.referenced_sop_instance_uid for item in found] == [MADE[2].instance, MADE[0].instance]
    assert document.resolve_reference(MADE[2].instance) == (MADE[0].study, MADE[0].series, MADE[2].instance)


def test_dsrdump_reads_title_words_and_frames(tmp_path: Path) -> None:
    program = shutil.which("dsrdump")
    if program is None:
        pytest.skip("dsrdump is not here; to run this test: apt install dcmtk")
    made = multiframe(5)
    keys = KeyObjects(TITLES["Of Interest"], (KeyObject(made.instance, (2, 4)),), "Two beats")
    path = tmp_path / "keys.dcm"
    path.write_bytes(to_bytes(key_objects_to_dicom(keys, headers([made]))))
    done = subprocess.run(
        [program, "+Pl", str(path)], capture_output=True, text=True, timeout=300, check=True
    )
    assert "Of Interest" in done.stdout
    assert "Two beats" in done.stdout
    assert "2,4" in done.stdout
    assert read_key_objects(path.read_bytes()).objects[0].frames == (2, 4)


def test_a_selection_of_highdicoms_is_read() -> None:
    sources = headers(MADE)
    content = hd.ko.KeyObjectSelection(TITLES["For Surgery"], sources[1:3], description="hepatic")
    written = hd.ko.KeyObjectSelectionDocument(sources[1:3], content, hd.UID(), 1, hd.UID(), 1)
    found = read_key_objects(written)
    assert found.title == TITLES["For Surgery"]
    assert found.description == "hepatic"
    assert [one.instance for one in found.objects] == [one.instance for one in MADE[1:3]]


def test_refusals() -> None:
    other = scan(np.zeros(SHAPE, np.int16))
    with pytest.raises(GeometryError, match="several studies"):
        key_objects_to_dicom(
            KeyObjects(TITLES["For Teaching"], (KeyObject(MADE[0].instance), KeyObject(other[0].instance))),
            headers([*MADE, *other]),
        )
    with pytest.raises(GeometryError, match="is missing"):
        key_objects_to_dicom(CHOSEN, headers(other))
    with pytest.raises(GeometryError, match="no images"):
        key_objects_to_dicom(KeyObjects(TITLES["For Teaching"], ()), headers(MADE))
    with pytest.raises(GeometryError, match="not a Key Object Selection"):
        read_key_objects(MADE[0].data)
