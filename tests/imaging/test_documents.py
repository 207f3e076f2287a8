"""Documents: in as they are, out as they were."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.documents import is_document, pdf_to_dicom, read_document, stl_to_dicom
from tests import builders
from tests.imaging.scans import check_with_dciodvfy, headers, scan

PDF = b"%PDF-1.4\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"
STL = b"solid".ljust(80, b" ") + struct.pack("<I", 1) + struct.pack("<12fH", *range(12), 0)


@pytest.mark.slow
@pytest.mark.parametrize("data", [PDF, PDF + b"\n", PDF + b"\0\0"])
def test_a_pdf_comes_out_as_it_went_in(data: bytes, tmp_path: Path) -> None:
    instances = scan(np.zeros((2, 3, 3), np.int16))
    written = pdf_to_dicom(data, "Bericht für Doe", headers(instances))
    check_with_dciodvfy(to_bytes(written), tmp_path)
    found = read_document(to_bytes(written))
    assert found.data == data
    assert (found.title, found.media_type, found.suffix) == ("Bericht für Doe", "application/pdf", ".pdf")
    assert written.StudyInstanceUID == instances[0].study
    assert len(written.SourceInstanceSequence) == 2


@pytest.mark.slow
def test_a_model_comes_out_as_it_went_in(tmp_path: Path) -> None:
    instances = scan(np.zeros((2, 3, 3), np.int16))
    written = stl_to_dicom(STL, "Left kidney", headers(instances))
    check_with_dciodvfy(to_bytes(written), tmp_path)
    found = read_document(to_bytes(written))
    assert (found.data, found.media_type) == (STL, "model/stl")
    assert written.FrameOfReferenceUID == instances[0].dataset.FrameOfReferenceUID


def test_what_is_not_a_document_is_refused() -> None:
    source = headers(scan(np.zeros((1, 3, 3), np.int16)))
    with pytest.raises(InvalidInput, match="PDF"):
        pdf_to_dicom(b"hello", "x", source)
    with pytest.raises(InvalidInput, match="binary STL"):
        stl_to_dicom(b"solid x\nendsolid", "x", source)
    with pytest.raises(GeometryError, match="needs an instance"):
        pdf_to_dicom(PDF, "x", [])
    with pytest.raises(GeometryError, match="not an encapsulated"):
        read_document(source[0])
    assert not is_document(source[0])
    empty = builders.composite("1.2.840.10008.5.1.4.1.1.104.1")
    assert is_document(empty)
    with pytest.raises(GeometryError, match="holds no document"):
        read_document(empty)
    del source[0].FrameOfReferenceUID
    with pytest.raises(GeometryError, match="frame of reference"):
        stl_to_dicom(STL, "x", source)
