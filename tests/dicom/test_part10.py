"""The quick header reader gives what pydicom gives, and sees files that are cut off."""

from __future__ import annotations

import warnings
from pathlib import Path

import hypothesis.strategies as st
import pydicom.data
import pytest
from hypothesis import given
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomdock.archive.index.mapping import instance_row, series_row, study_row
from dicomdock.dicom.part10 import HEAD, is_dicomdir, looks_like_dicom, read_header, walk
from dicomdock.dicom.part10_pydicom import read_with_pydicom
from dicomdock.errors import WireError
from tests.builders import composite, ct_series, made, multiframe
from tests.conftest import shared_data

# By path: pydicom's own functions would download what is not installed.
TEST_FILES = [path for path in Path(pydicom.data.__file__).parent.rglob("*") if path.suffix in (".dcm", "")]


def rows(header) -> tuple[object, ...]:
    return study_row(header), series_row(header), instance_row(header), header.transfer_syntax


@pytest.mark.parametrize(
    "path", sorted(path for path in TEST_FILES if path.is_file()), ids=lambda path: path.name
)
def test_the_walk_reads_what_pydicom_reads(path: Path) -> None:
    data = path.read_bytes()
    try:
        quick = walk(data, len(data))
    except WireError as error:
        assert "cut off" in str(error)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            assert "truncated" in path.name or "no_meta" in path.name, dataset  # nothing whole is refused
        return
    if quick is not None:
        assert rows(quick) == rows(read_with_pydicom(path))


def test_most_files_need_no_pydicom() -> None:
    for folder in ("mr-head", "zoo/transfer-syntaxes", "zoo/seg-sr-pm", "zoo/enhanced"):
        for path in sorted(shared_data(folder).rglob("*.dcm"))[:20]:
            data = path.read_bytes()
            quick = walk(data, len(data))
            assert (quick is None) == any(form in path.name for form in ("BigEndian", "Deflated")), path
            if quick is None:
                continue
            assert rows(quick) == rows(read_with_pydicom(path)), path


def encoded(dataset: Dataset, syntax: str) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    file = DicomBytesIO()
    dataset.save_as(
        file, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True
    )
    return file.getvalue()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [True, False])
def test_sequences_are_passed_over_and_one_is_kept(tmp_path: Path, syntax: str, undefined: bool) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.7")
    step, deep = Dataset(), Dataset()
    step.ScheduledProcedureStepID, step.RequestedProcedureID = "S1", "R1"
    deep.ReferencedSOPInstanceUID = "1.2.3"
    step.ReferencedStudySequence = [deep]
    other = Dataset()
    other.RequestedProcedureID = "R2"
    dataset.RequestAttributesSequence = [step, other]
    dataset.ReferencedImageSequence = [deep, deep]
    for element in (dataset["RequestAttributesSequence"], dataset["ReferencedImageSequence"]):
        element.is_undefined_length = undefined
        for item in element.value:
            item.is_undefined_length_sequence_item = undefined
    data = encoded(dataset, syntax)
    header = walk(data, len(data))
    assert header is not None
    assert [item[0x00401001].strip() for item in header.items] == [b"R1", b"R2"]
    path = tmp_path / "one.dcm"
    path.write_bytes(data)
    assert rows(header) == rows(read_with_pydicom(path))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_every_cut_is_seen(tmp_path: Path, syntax: str) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.7")
    item = Dataset()
    item.RequestedProcedureID = "R1"
    dataset.RequestAttributesSequence = [item]
    dataset["RequestAttributesSequence"].is_undefined_length = True
    dataset.PixelData = b"\0\1" * 50
    dataset["PixelData"].VR = "OW"
    data = encoded(dataset, syntax)
    path = tmp_path / "cut.dcm"
    start = data.index(b"Doe^Jane")
    for length in range(start, len(data)):
        cut = data[:length]
        path.write_bytes(cut)
        try:
            quick = walk(cut, length)
        except WireError:
            continue
        # Between two elements nothing shows the cut; in the header the missing elements do.
        assert quick is None or len(quick.raw) <= len(walk(data, len(data)).raw)


def test_a_cut_in_the_pixels_is_always_seen() -> None:
    data = ct_series(1)[0].data
    pixels = len(data) - 16 * 24 * 2
    for length in range(pixels, len(data), 7):
        with pytest.raises(WireError, match="cut off"):
            walk(data[:length], length)


def test_a_header_longer_than_the_first_bytes_is_read_from_the_file(tmp_path: Path) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.7")
    dataset.add_new(0x00091001, "OB", b"\0" * (2 * HEAD))
    dataset.add_new(0x00090010, "LO", "MAKER")
    data = made(dataset).data
    path = tmp_path / "long.dcm"
    path.write_bytes(data)
    assert walk(data[:HEAD], len(data)) is None
    header = read_header(data[:HEAD], len(data), path)
    assert instance_row(header)["SOPInstanceUID"] == str(dataset.SOPInstanceUID)


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    data = ct_series(1)[0].data
    for start in (132, data.index(b"\x08\x00\x05\x00CS")):
        path = tmp_path / "bare.dcm"
        path.write_bytes(data[start:])
        assert looks_like_dicom(data[start:])
        assert study_row(read_header(data[start:], len(data) - start, path))["PatientName"] == "Doe^Jane"


def test_what_is_no_dicom_is_told_at_once() -> None:
    for data in (
        b"",
        b"PK\3\4" * 100,
        b"<html><body>" * 50,
        b"\x89PNG\r\n\x1a\n" * 30,
        b"\0" * 500,
        b"{}" * 99,
    ):
        assert not looks_like_dicom(data)
    assert not is_dicomdir(multiframe().data)


@given(st.data())
def test_hostile_bytes_end_in_an_answer_or_our_error(data: st.DataObject) -> None:
    whole = bytearray(HOSTILE_BASE)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(132, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    try:
        header = walk(bytes(whole), len(whole))
        if header is not None:
            rows(header)
    except WireError:
        pass


HOSTILE_BASE = ct_series(1)[0].data[:1500]
