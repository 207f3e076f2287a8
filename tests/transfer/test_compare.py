"""A data set is compared by the bytes of its elements, and not by what an encoding may choose."""

from __future__ import annotations

import io
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomdock.sources import Part
from dicomdock.transfer.compare import Comparison, compare, same_data_set
from tests.builders import ct_series


def same(first: bytes, second: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return same_data_set(io.BytesIO(first), io.BytesIO(second))


def written(
    change: Callable[[Dataset], object] = lambda _: None, syntax: str = ExplicitVRLittleEndian
) -> bytes:
    """Write the one data set of these tests, changed."""
    dataset = pydicom.dcmread(io.BytesIO(DATA))
    dataset.OtherPatientIDsSequence = Sequence([Dataset()])
    dataset.OtherPatientIDsSequence[0].PatientID = "second"
    dataset.RescaleSlope = "1.0"
    dataset.add_new(0x00280106, "US", 258)
    dataset.add_new(0x00720076, "FL", [1.5, -2.25])
    dataset.add_new(0x00091010, "OB", b"abcd")
    change(dataset)
    file = io.BytesIO()
    if syntax == ExplicitVRBigEndian:
        pixels = dataset.PixelData
        dataset.PixelData = b"".join(pixels[at : at + 2][::-1] for at in range(0, len(pixels), 2))
    dataset.file_meta.TransferSyntaxUID = syntax
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(
            file,
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            force_encoding=True,
        )
    return file.getvalue()


DATA = ct_series(1, rows=8, columns=8)[0].data


def raw(tag: int, vr: str, value: bytes) -> Callable[[Dataset], object]:
    """Put a value into a data set as bytes that pydicom does not look at."""

    def change(dataset: Dataset) -> None:
        element = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
        dataset._dict[Tag(tag)] = element

    return change


@pytest.mark.parametrize(
    "change",
    [
        raw(0x00720076, "FL", b"\0\0\xc0\x7f"),  # not a number
        raw(0x00720074, "FD", b"\0\0\0\0\0\0\xf8\x7f"),
        raw(0x00200012, "IS", b"1e400 "),
        raw(0x00281053, "DS", b"nan "),
        raw(0x00281053, "DS", b"a slope "),
        raw(0x00100030, "DA", b"tomorrow"),
        raw(0x00280106, "US", b"\x01\x02\x03"),  # of a wrong length
        raw(0x00100010, "PN", b"M\xfcller "),
    ],
)
def test_a_value_that_no_library_can_read_equals_itself_and_nothing_else(
    change: Callable[[Dataset], object],
):
    one = written(change)
    rewritten = b"rewritten".ljust(128, b"!") + one[128:]
    assert one != rewritten
    assert same(one, rewritten)
    assert not same(one, written())


@pytest.mark.parametrize("first", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("second", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_another_encoding_is_the_same_data_set(first: str, second: str):
    assert same(written(syntax=first), written(syntax=second))


def test_padding_group_lengths_and_trailing_padding_do_not_count():
    def padded(dataset: Dataset) -> None:
        raw(0x00281053, "DS", b"1.0 ")(dataset)
        raw(0x00080000, "UL", b"\x10\0\0\0")(dataset)
        raw(0xFFFCFFFC, "OB", bytes(16))(dataset)

    assert same(written(), written(padded))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: setattr(one, "RescaleSlope", "1.5"),
        lambda one: delattr(one, "RescaleSlope"),
        lambda one: setattr(one, "PatientComments", "new"),
        lambda one: setattr(one.OtherPatientIDsSequence[0], "PatientID", "third"),
        lambda one: one.OtherPatientIDsSequence.append(Dataset()),
        lambda one: setattr(one[0x00091010], "value", b"abce"),
        lambda one: setattr(one[0x00720076], "value", [1.5, -2.5]),
        lambda one: setattr(one, "PixelData", one.PixelData[:-1] + b"\x01"),
        lambda one: delattr(one, "PixelData"),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_one_other_value_is_another_data_set(change: Callable[[Dataset], object], syntax: str):
    assert not same(written(), written(change, syntax))


@pytest.mark.parametrize("options", [["+e"], ["-e"], ["-g", "-p"], ["+g"]])
def test_what_dcmconv_rewrites_is_the_same(tmp_path: Path, options: list[str]):
    """dcmtk chooses lengths of sequences, group lengths and padding otherwise than pydicom."""
    one, other = tmp_path / "one.dcm", tmp_path / "other.dcm"
    one.write_bytes(written())
    try:
        subprocess.run(["dcmconv", *options, one, other], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("dcmtk is not here; to run this test: apt-get install dcmtk")
    assert same(one.read_bytes(), other.read_bytes())


@pytest.mark.parametrize("behind", [b"\r\n", b"stale memory " * 400, DATA])
def test_bytes_behind_what_was_sent_are_no_other_content(behind: bytes):
    def comparison(answer: bytes) -> Comparison:
        return compare(part_of(DATA), [part_of(answer)])

    assert comparison(DATA) is Comparison.SAME_BYTES
    assert comparison(DATA + behind) is Comparison.SAME_AND_MORE
    assert comparison(DATA[:-1]) is Comparison.OTHER
    assert comparison(b"x" + DATA) is Comparison.OTHER


def part_of(data: bytes) -> Part:
    return Part("application/dicom", lambda: iter((data,)), length=len(data))
