"""Data sets that pydicom does not read as they are, and others do."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomdock.dicom.dataset import read_dataset
from dicomdock.dicom.read_errors import READ_ERRORS
from tests.builders import charset_written_as
from tests.conftest import unavailable


@pytest.mark.parametrize("vr", ["OB", "OW", "UN", "AT", "FD", "SS", "UL", "US"])
def test_a_character_set_with_the_vr_of_a_number_or_of_bytes_is_read(tmp_path: Path, vr: str):
    """Without the repair pydicom refuses the whole file, which dcmtk reads to its end."""
    if shutil.which("dcmdump") is None:
        unavailable("dcmdump", "apt install dcmtk")
    good, odd = charset_written_as(vr)
    if vr != "UN":
        with pytest.raises(READ_ERRORS):
            pydicom.dcmread(io.BytesIO(odd))
    path = tmp_path / "odd.dcm"
    path.write_bytes(odd)
    dumped = subprocess.run(["dcmdump", "-q", "+P", "0010,0010", path], capture_output=True, check=True)
    assert "[Müller^Ana]".encode("latin-1") in dumped.stdout
    expected = pydicom.dcmread(io.BytesIO(good))
    read = read_dataset(io.BytesIO(odd))
    assert read.PatientName == "Müller^Ana" == expected.PatientName
    assert read.keys() == expected.keys()
    assert np.array_equal(read.pixel_array, expected.pixel_array)
    file = io.BytesIO(odd)
    assert "PixelData" not in read_dataset(file, pixels=False)
    assert file.read(4) == b"\xe0\x7f\x10\x00"  # it stands at the pixel data
