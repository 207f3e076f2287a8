"""The reader of DICOM files gives what pydicom gives, and calls whole what pydicom reads to its end."""

from __future__ import annotations

import io
import logging
import mmap
import random
import shutil
import struct
import subprocess
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pydicom.data
import pytest
from hypothesis import given
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomdock.archive.index.attributes import INSTANCE_KEYWORDS, SERIES_KEYWORDS, STUDY_KEYWORDS, WANTED
from dicomdock.archive.index.mapping import instance_row, series_row, study_row
from dicomdock.dicom import part10
from dicomdock.dicom.dataset import read_dataset
from dicomdock.dicom.element_encoding import LONG_VRS
from dicomdock.dicom.element_reader import PIXEL_TAGS
from dicomdock.dicom.header import Header
from dicomdock.dicom.part10 import HEAD, identify, identify_file, looks_like_dicom, read_header, walk
from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.errors import WireError
from tests.builders import composite, ct_series, deflated_with_zeros, made, multiframe
from tests.conftest import shared_data, unavailable

# By path: pydicom's own functions would download what is not installed.
TEST_FILES = sorted(
    path
    for path in Path(pydicom.data.__file__).parent.rglob("*")
    if path.is_file() and path.suffix in (".dcm", "") and path.name != "README"
)
CUT = {"rtplan_truncated.dcm", "MR_truncated.dcm"}
NONSENSE = {"no_meta.dcm"}  # a stray letter before the data set, which pydicom reads as one element


def read(data: bytes, size: int | None = None) -> Header:
    return read_header(data[:HEAD], size or len(data), lambda: nullcontext(data), WANTED)


def is_whole(data: bytes) -> bool:
    try:
        read(data)
    except WireError:
        return False
    return True


def with_pydicom(data: bytes, **options: bool) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable()
        try:
            return pydicom.dcmread(io.BytesIO(data), force=True, **options)
        finally:
            logging.disable(logging.NOTSET)


def values(header: Header) -> dict[str, object]:
    return study_row(header) | series_row(header) | instance_row(header)


def files() -> list[Path]:
    try:
        zoo = sorted(shared_data("zoo").rglob("*.dcm"))
    except pytest.skip.Exception:
        zoo = []
    return [*TEST_FILES, *zoo]


@pytest.mark.slow
@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_values_are_those_of_pydicom(path: Path) -> None:
    data = path.read_bytes()
    if path.name in CUT | NONSENSE:
        with pytest.raises(WireError):
            read(data)
        return
    header, dataset = read(data), with_pydicom(data)
    for keyword in (*STUDY_KEYWORDS, *SERIES_KEYWORDS, *INSTANCE_KEYWORDS):
        tag = pydicom.datadict.tag_for_keyword(keyword)
        element = dataset.get_item(tag) if tag in dataset else None
        expected = element.value if isinstance(element, RawDataElement) else b""
        assert header.raw.get(tag, b"") == (expected or b""), keyword
    assert header.byteorder == ("little" if dataset.original_encoding[1] else "big")


def _ends(data: bytes) -> tuple[list[int], int, int | None]:
    """Find, with pydicom, where elements end, where the second one begins, and where the pixel data ends."""
    dataset = with_pydicom(data, defer_size=1 << 10)
    implicit = dataset.original_encoding[0]
    found = []
    for tag in sorted(dataset.keys()):
        element = dataset.get_item(tag, keep_deferred=True)
        value = getattr(element, "value_tell", None) or element.file_tell
        head = 8 if implicit or element.VR not in {vr.decode() for vr in LONG_VRS} else 12
        length = element.length if isinstance(element, RawDataElement) else 0xFFFFFFFF
        found.append((value - head, None if length == 0xFFFFFFFF else value + length, int(tag)))
    found.sort()
    starts = [start for start, _, _ in found] + [len(data)]
    ends = [end or starts[number + 1] for number, (_, end, _) in enumerate(found)]
    pixels = [ends[number] for number, (_, _, tag) in enumerate(found) if tag in PIXEL_TAGS]
    return ends, starts[1], pixels[-1] if pixels else None


@pytest.mark.slow
@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_a_file_is_whole_where_pydicom_reads_every_element_and_all_pixels(
    path: Path,
) -> None:
    data = path.read_bytes()
    if path.name in CUT | NONSENSE:
        pytest.skip("is not whole itself")
    chance = random.Random(path.name)
    syntax = str(with_pydicom(data, stop_before_pixels=True).file_meta.get("TransferSyntaxUID", ""))
    if syntax == DeflatedExplicitVRLittleEndian:
        for cut in {chance.randrange(400, len(data) - 10) for _ in range(50)}:
            assert not is_whole(data[:cut]), cut
        return
    ends, first, pixels = _ends(data)
    cuts = {*ends, *(end + more for end in ends for more in (1, 4, 8, 9, 12))}
    cuts |= {chance.randrange(first, len(data) + 1) for _ in range(50)}
    for cut in sorted(cut for cut in cuts if first < cut <= len(data)):
        last = max(end for end in [first, *ends] if end <= cut)
        rest = data[last:cut]
        if rest and not rest.strip(b"\0 \r\n"):
            continue  # nobody can see whether this is padding or the beginning of a tag
        behind = pixels is not None and cut >= pixels and len(rest) < 8
        assert is_whole(data[:cut]) == (not rest or behind), (cut, rest[:16])


@pytest.mark.slow
def test_few_files_are_read_beyond_their_first_bytes() -> None:
    for folder in ("mr-head", "zoo/transfer-syntaxes"):
        for path in sorted(shared_data(folder).rglob("*.dcm"))[:20]:
            data = path.read_bytes()
            encapsulated = with_pydicom(data).file_meta.TransferSyntaxUID.is_encapsulated
            if not encapsulated and "Deflated" not in path.name:
                assert walk(data[:HEAD], len(data), WANTED) is not None, path


def encoded(dataset: Dataset, syntax: str) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    file = DicomBytesIO()
    dataset.save_as(
        file,
        enforce_file_format=True,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return file.getvalue()


SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [True, False])
def test_sequences_are_passed_over_and_one_is_read(syntax: str, undefined: bool) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.7")
    step, deep, other = Dataset(), Dataset(), Dataset()
    step.ScheduledProcedureStepID, step.RequestedProcedureID = "S1", "R1"
    deep.ReferencedSOPInstanceUID = "1.2.3"
    step.ReferencedStudySequence = [deep]
    other.RequestedProcedureID = "R2"
    dataset.RequestAttributesSequence = [step, other]
    dataset.ReferencedImageSequence = [deep, deep]
    for element in (dataset["RequestAttributesSequence"], dataset["ReferencedImageSequence"]):
        element.is_undefined_length = undefined
        for item in element.value:
            item.is_undefined_length_sequence_item = undefined
    header = read(encoded(dataset, syntax))
    assert [item[0x00401001].strip() for item in header.items] == [b"R1", b"R2"]
    assert header.trailing == 0


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def parts() -> tuple[bytes, bytes, bytes]:
    """Return file meta information, data set before the pixels, and pixels of an instance."""
    data = ct_series(1)[0].data
    pixels = data.index(b"\xe0\x7f\x10\x00OW")
    start = data.index(b"\x08\x00\x05\x00CS")
    return data[:start], data[start:pixels], data[pixels:]


META, BEFORE, PIXELS = parts()
WHOLE = read(META + BEFORE + PIXELS)


def deflated(body: bytes, megabytes_of_zeros: int = 0) -> bytes:
    one = made(composite(CTImageStorage, transfer_syntax=DeflatedExplicitVRLittleEndian)).data
    start = 144 + int.from_bytes(one[140:144], "little")
    return one[:start] + deflated_with_zeros(body, megabytes_of_zeros)


def insert(at: int, extra: bytes) -> bytes:
    """Insert bytes before the first element of a tag."""
    place = BEFORE.index(struct.pack("<HH", at >> 16, at & 0xFFFF))
    return META + BEFORE[:place] + extra + BEFORE[place:] + PIXELS


@pytest.mark.parametrize("at", [0x00080016, 0x00100010, 0x00200010, 0x00280010])
@pytest.mark.parametrize("vr", [b"??", b"  ", b"\0\0", b"0x", b"ox", b"ZZ", b"un"])
@pytest.mark.parametrize("value", [b"", b"FOR PRESENTATION", b"\0" * 8, b"1234"])
def test_an_element_with_an_odd_vr_costs_nothing(at: int, vr: bytes, value: bytes) -> None:
    assert read(insert(at, element(at - 1, vr, value))).raw == WHOLE.raw
    assert not is_whole(insert(at, element(at - 1, vr, value))[:-20])


@pytest.mark.parametrize("vr", [b"??", b"  ", b"\0\0", b"0x", b"ox", b"un", b"--", b"\xff\xff", b"ZZ", b"LO"])
@pytest.mark.parametrize("value", [b"", b"1234", b"FOR PRESENTATION"])
@pytest.mark.parametrize("tags", [(0x0020000F,), (0x0010001F, 0x0020000F), (0x0020000F, 0x0028000F)])
@pytest.mark.parametrize("options", [{}, {"pixels": False}, {"keywords": ["Rows"]}, {"defer": 64}], ids=str)
def test_data_sets_are_read_behind_an_element_with_an_odd_vr(
    vr: bytes, value: bytes, tags: tuple[int, ...], options: dict[str, Any]
) -> None:
    """pydicom, which shows and describes instances, ends there; dcmdump reads two bytes of length."""
    extra = {tag: element(tag, vr, value) for tag in tags}
    body = BEFORE
    for tag, bytes_of in extra.items():
        place = body.index(struct.pack("<HH", (tag + 1) >> 16, (tag + 1) & 0xFFFF))
        body = body[:place] + bytes_of + body[place:]
    data, whole = META + body + PIXELS, META + BEFORE + PIXELS
    assert read(data).obstacle == ""
    for start in (b"", b"other"):
        file = io.BytesIO(start + data)
        file.seek(len(start))
        found = read_dataset(file, **options)
        due = read_dataset(io.BytesIO(whole), **options)
        assert [tag for tag in found.keys() if int(tag) not in tags] == [*due.keys()]  # noqa: SIM118
        assert (found.Rows, "PixelData" in found) == (due.Rows, "PixelData" in due)
        if not options and vr == b"??":
            assert [found.get_item(tag).value for tag in tags] == [value] * len(tags)
        if options == {"pixels": False}:
            assert file.read() == PIXELS


@pytest.mark.parametrize("vr", [b"??", b"\0\0", b"ox"])
def test_an_odd_vr_in_a_deflated_data_set_is_named(vr: bytes) -> None:
    data = deflated(insert(0x00200010, element(0x0020000F, vr, b"1234"))[len(META) :])
    assert read(data).obstacle == "An element has a VR that does not exist"


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("tag", [0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD])
@pytest.mark.parametrize("length", [0, 4, 0xFFFFFFFF])
def test_a_stray_delimiter_behind_which_pydicom_reads_nothing_is_named(
    implicit: bool, tag: int, length: int
) -> None:
    whole = pydicom.dcmread(io.BytesIO(META + BEFORE + PIXELS))
    whole.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    target = io.BytesIO()
    whole.save_as(target)
    data = target.getvalue()
    at = data.index(struct.pack("<HH", 0x0020, 0x0010))
    stray = struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length) + (b"abcd" if length == 4 else b"")
    data = data[:at] + stray + data[at:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ends_early = "PixelData" not in pydicom.dcmread(io.BytesIO(data))
        except READ_ERRORS:
            ends_early = True
    assert read(data).raw == WHOLE.raw
    assert bool(read(data).obstacle) == ends_early


@pytest.mark.parametrize("at", [0x00080016, 0x00100010, 0x00280010])
def test_elements_of_a_command_cost_nothing_and_zeros_are_no_elements(at: int) -> None:
    command = insert(at, element(0x00000002, b"UI", b"1.2\0"))
    assert "PixelData" in pydicom.dcmread(io.BytesIO(command))
    assert read(command).raw == WHOLE.raw
    assert not is_whole(insert(at, b"\0" * 64))


@pytest.mark.parametrize(
    "extra",
    [
        element(0x70151060, b"LO", b"x "),  # a step forward, and back
        element(0x00040010, b"LO", b"x "),
        b"\xfe\xff\x0d\xe0\0\0\0\0",  # stray delimiters
        b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"\x10\x00\x05\x00" + struct.pack("<L", 4) + b"1234",  # an element in Implicit VR
        struct.pack("<HH2sHL", 9, 0x1001, b"UT", 0, 4) + b"text",
    ],
)
@pytest.mark.parametrize("at", [0x00080016, 0x00100010, 0x0020000E, 0x00280010])
def test_elements_out_of_order_and_stray_delimiters_cost_nothing(at: int, extra: bytes) -> None:
    data = insert(at, extra)
    assert read(data).raw == WHOLE.raw
    assert not is_whole(data[:-20])


def test_values_behind_the_pixels_are_read() -> None:
    name = element(0x00100010, b"PN", b"LATE^X")
    start = BEFORE.index(b"\x10\x00\x10\x00PN")
    length = struct.unpack_from("<H", BEFORE, start + 6)[0]
    data = META + BEFORE[:start] + BEFORE[start + 8 + length :] + PIXELS + name
    assert read(data).raw == {**WHOLE.raw, 0x00100010: b"LATE^X"}
    assert read(META + BEFORE + PIXELS + name).raw == WHOLE.raw  # they replace nothing


@pytest.mark.parametrize(
    "behind",
    [
        b"\n",
        b"\r\n",
        b" " * 8,
        b"\0",
        b"\0" * 100,
        b"\xf0" * 64,
        b"\1\x80" * 496,
        b"\r\n--boundary--\r\n",
        b"\x10\0" * 99,
    ],
)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_bytes_behind_the_pixels_are_counted(behind: bytes, syntax: str) -> None:
    data = encoded(ct_series(1)[0].dataset, syntax)
    header = read(data + behind)
    assert header.trailing
    assert header.raw == read(data).raw
    assert not is_whole(data[:-1])


@pytest.mark.parametrize(
    "behind", [b"\n", b"\r\n", b"\0\0", b" " * 8, b"\0" * 64, b"stale memory of another file"]
)
def test_bytes_behind_an_object_without_pixels_are_counted(behind: bytes) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.88.11")
    dataset.ValueType = "CONTAINER"
    data = made(dataset).data
    assert read(data + behind).trailing == len(behind)
    assert read(data + behind).raw == read(data).raw


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("item_undefined", [True, False])
def test_a_sequence_written_as_un_has_items_in_either_encoding(
    undefined: bool, explicit: bool, item_undefined: bool
) -> None:
    value = element(0x00401001, b"SH", b"R1") if explicit else struct.pack("<HHL", 0x40, 0x1001, 2) + b"R1"
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF if item_undefined else len(value)) + value
    item += b"\xfe\xff\x0d\xe0\0\0\0\0" if item_undefined else b""
    item += b"\xfe\xff\xdd\xe0\0\0\0\0" if undefined else b""
    head = struct.pack("<HH2sHL", 0x40, 0x0275, b"UN", 0, 0xFFFFFFFF if undefined else len(item))
    header = read(META + BEFORE + head + item + PIXELS)
    assert [one[0x00401001] for one in header.items] == [b"R1"]
    assert not is_whole((META + BEFORE + head + item + PIXELS)[:-1])
    for cut in range(1, len(head + item)):
        assert not is_whole(META + BEFORE + (head + item)[:cut]), cut


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("item_undefined", [True, False])
def test_a_sequence_written_as_un_is_little_endian_in_any_data_set(
    undefined: bool, item_undefined: bool, tmp_path: Path
) -> None:
    value = struct.pack("<HHL", 0x40, 0x1001, 2) + b"R1"
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF if item_undefined else len(value)) + value
    item += b"\xfe\xff\x0d\xe0\0\0\0\0" if item_undefined else b""
    item += b"\xfe\xff\xdd\xe0\0\0\0\0" if undefined else b""
    head = struct.pack(">HH2sHL", 0x40, 0x0275, b"UN", 0, 0xFFFFFFFF if undefined else len(item))
    big = encoded(ct_series(1)[0].dataset, ExplicitVRBigEndian)
    at = big.index(b"\x7f\xe0\x00\x10OW")
    data = big[:at] + head + item + big[at:]
    header = read(data)
    assert [one[0x00401001] for one in header.items] == [b"R1"]
    assert header.resource() == read(big).resource()
    assert not is_whole(data[:-1])
    for cut in range(2, len(head + item)):  # one zero is padding
        assert not is_whole(data[: at + cut]), cut
    if shutil.which("dcmdump") is None:
        unavailable("dcmdump", "apt install dcmtk")
    path = tmp_path / "one.dcm"
    path.write_bytes(data)
    dumped = subprocess.run(["dcmdump", "-q", path], capture_output=True, check=False)
    assert dumped.returncode == 0
    assert (b"R1" in dumped.stdout) == undefined  # dcmdump shows one of defined length as bytes


@pytest.mark.parametrize("vr", [b"LO", b"UN", b"OB", b"SQ"])
def test_an_indexed_sequence_that_is_none_counts_as_empty(vr: bytes) -> None:
    value = b"just text!"
    head = struct.pack("<HH2sH", 0x40, 0x0275, vr, len(value))
    if vr != b"LO":
        head = struct.pack("<HH2sHL", 0x40, 0x0275, vr, 0, len(value))
    assert read(META + BEFORE + head + value + PIXELS).items == []


def test_values_of_the_wrong_kind_are_absent() -> None:
    header = read(insert(0x00280011, element(0x00280010, b"US", b"\1")))
    assert instance_row(header)["Rows"] is None
    numbered = read(META + BEFORE.replace(b"\x20\0\x13\0IS\x02\0", b"\x20\0\x13\0IS\x04\0in") + PIXELS)
    assert instance_row(numbered)["InstanceNumber"] is None


@pytest.mark.slow
@given(
    st.integers(-(2**15), 2**15 - 1),
    st.integers(0, 2**32 - 1),
    st.floats(width=64, allow_nan=False, allow_infinity=False),
    st.sampled_from((ExplicitVRLittleEndian, ExplicitVRBigEndian)),
)
def test_numbers_of_another_vr_than_their_attribute_has_are_those_of_pydicom(
    number: int, patient: int, description: float, syntax: UID
) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.4", Modality="MR")
    dataset.Rows = dataset.Columns = 7
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset[0x00200013] = DataElement(0x00200013, "SS", number)
    dataset[0x00100020] = DataElement(0x00100020, "UL", patient)
    dataset[0x0008103E] = DataElement(0x0008103E, "FD", [description, 1.5])
    dataset[0x00280010] = DataElement(0x00280010, "IS", "512")
    buffer = DicomBytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    header = read(buffer.getvalue())
    again = dcmread(io.BytesIO(buffer.getvalue()))
    assert instance_row(header)["InstanceNumber"] == again.InstanceNumber
    assert study_row(header)["PatientID"] == str(again.PatientID)
    first, _ = str(series_row(header)["SeriesDescription"]).split("\\")
    assert float(first) == again.SeriesDescription[0]
    assert instance_row(header)["Rows"] == 512


def test_a_header_longer_than_the_first_bytes_is_read_from_the_file(tmp_path: Path) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.7")
    dataset.add_new(0x00091001, "OB", b"\0" * (2 * HEAD))
    dataset.add_new(0x00090010, "LO", "MAKER")
    data = made(dataset).data
    assert walk(data[:HEAD], len(data), WANTED) is None
    assert instance_row(read(data))["SOPInstanceUID"] == str(dataset.SOPInstanceUID)
    path = tmp_path / "long.dcm"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        assert walk(whole, len(data), WANTED) == walk(data, len(data), WANTED)
    with path.open("rb") as file:
        found = identify_file(file)
    assert found is not None
    assert found.instance == str(dataset.SOPInstanceUID)


def test_a_file_without_preamble_is_read() -> None:
    data = ct_series(1)[0].data
    for start in (128, 132, data.index(b"\x08\x00\x05\x00CS")):
        assert looks_like_dicom(data[start:])
        assert study_row(read(data[start:]))["PatientName"] == "Doe^Jane"
        assert not is_whole(data[start:-1])


def test_an_instance_is_identified_by_its_first_bytes() -> None:
    one = ct_series(1)[0]
    assert identify(one.data) == identify(one.data[:1000]) == one.resource
    assert identify(one.data[:200]) is None
    assert identify(b"") is None
    odd = made(composite(CTImageStorage, transfer_syntax=DeflatedExplicitVRLittleEndian))
    assert identify(odd.data) == odd.resource


def test_what_is_not_dicom_is_seen_at_once() -> None:
    for data in (
        b"",
        b"PK\3\4" * 100,
        b"<html><body>" * 50,
        b"\x89PNG\r\n\x1a\n" * 30,
        b"\0" * 500,
        b"{}" * 99,
    ):
        assert not looks_like_dicom(data)
    assert not part10.is_dicomdir(multiframe().data)


@pytest.mark.slow
def test_dcmtk_reads_what_is_called_whole(tmp_path: Path) -> None:
    try:
        subprocess.run(["dcmdump", "--version"], capture_output=True, check=True)
    except OSError:
        unavailable("dcmdump", "apt install dcmtk")
    path = tmp_path / "one.dcm"
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian):
        data = encoded(ct_series(1)[0].dataset, syntax)
        for cut in (len(data), len(data) - 1, len(data) - 300, len(data) - 16 * 24 * 2 - 5):
            path.write_bytes(data[:cut])
            dumped = subprocess.run(["dcmdump", "-q", path], capture_output=True, check=False)
            assert is_whole(data[:cut]) == (dumped.returncode == 0), (syntax, cut)
