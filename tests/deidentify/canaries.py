"""Canaries: a text of its own in every attribute that the standard lists, wherever it can stand."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Collection, Iterable

from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicomdock.deidentify.profile import RETAIN_INSTITUTION
from dicomdock.deidentify.tables import tables

CANARY = re.compile(rb"Q[0-9A-F]{8}Z|19470713|98765432[0-9]{4}")
DATE = "19470713"

_RETIRED_HERE = frozenset({0x00080018, 0x0020000D, 0x0020000E, 0x00020003, 0x00041511})


def text(tag: int) -> str:
    """Return the canary of an attribute: 10 letters, as short text may have 16."""
    return f"Q{tag:08X}Z"


def value(tag: int, vr: str, options: Collection[str] = ()) -> object:
    """Return a value of an attribute that can be found again; None where its VR takes none."""
    if vr in ("DA", "DT"):
        return DATE if vr == "DA" else f"{DATE}111213"
    if vr == "TM":
        return text(tag)  # no time at all: what is not valid must not stay either
    if vr == "UI":
        return f"1.2.98765432{tag % 10000:04d}.{tag}"
    if vr in ("OB", "OW", "UN"):
        return text(tag).encode()
    if vr == "SQ":
        return Sequence([item(tag, options)])
    if vr in ("US", "SS", "UL", "SL", "FL", "FD", "AT"):
        return None
    return text(tag)


def item(tag: int, options: Collection[str] = ()) -> Dataset:
    """Return an item with canaries of every kind."""
    made = Dataset()
    made.CodeValue = text(tag)
    made.CodingSchemeDesignator = "99X"
    made.CodeMeaning = text(tag)
    made.PersonName = f"{text(tag)}^A"
    if RETAIN_INSTITUTION not in options:
        made.InstitutionName = text(tag)
    made.TextValue = text(tag)
    made.ReferencedSOPInstanceUID = f"1.2.98765432{tag % 10000:04d}.{tag}"
    made.add_new(0x00091001, "LO", text(tag))
    made.add_new(0x00090010, "LO", text(tag))
    return made


def listed(options: Collection[str] = ()) -> list[tuple[int, str]]:
    """Return the attributes of table E.1-1 that do not stay by an option, with their VRs."""
    found = []
    for tag, codes in tables().attributes.items():
        if any(codes.get(option) == "K" for option in options):
            continue
        vr = dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "LO"
        found.append((tag, vr))
    return found


def plant(dataset: Dataset, options: Collection[str] = (), *, spare: Iterable[int] = ()) -> None:
    """Put canaries into a data set; what it needs to be stored stays, ``spare`` too."""
    spared = {*_RETIRED_HERE, *spare}
    for tag, vr in listed(options):
        if tag in spared or tag >> 16 in (0x0000, 0x0002, 0x0004):
            continue
        if (found := value(tag, vr, options)) is None:
            continue
        if vr in ("DS", "IS"):  # as a file may hold it, though it is not a number
            raw = str(found).encode()
            dataset[tag] = RawDataElement(Tag(tag), vr, len(raw), raw, 0, False, True)
        else:
            dataset[tag] = DataElement(tag, vr, found, validation_mode=config.IGNORE)


def infest(dataset: Dataset, options: Collection[str] = (), *, spare: Iterable[int] = ()) -> bytes:
    """Put canaries at the top level, into sequences, private attributes, the file's head and its end.

    Returns the bytes of the file.
    """
    plant(dataset, options, spare=spare)
    deep = Dataset()
    plant(deep, options)
    deep.StudyInstanceUID = "1.2.987654321111"
    nested = Dataset()
    nested.update(deep)
    nested.ReferencedInstanceSequence = [deep]
    dataset.PertinentOtherEvidenceSequence = [nested]
    block = dataset.private_block(0x0009, text(0x00090010), create=True)
    block.add_new(0x01, "LO", text(0x00090001))
    block.add_new(0x02, "SQ", [nested])
    dataset.add_new(0x60000010, "US", 1)
    dataset.add_new(0x60000022, "LO", text(0x60000022))
    dataset.add_new(0x60003000, "OW", text(0x60003000).encode())
    dataset.add_new(0x50001001, "LO", text(0x50001001))
    dataset.add_new(0x00100099, "LO", text(0x00100099))  # of no edition
    dataset.FrameComments = text(0x00209158)
    meta = dataset.file_meta
    meta.SourceApplicationEntityTitle = text(0x00020016)
    meta.ImplementationVersionName = text(0x00020013)
    meta.PrivateInformationCreatorUID = "1.2.987654320102"
    meta.PrivateInformation = text(0x00020102).encode()
    dataset.preamble = text(0x00000000).encode().ljust(128, b"\0")
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def decoded(data: bytes) -> bytes:
    """Return the bytes of a file as they are, with a deflated data set inflated behind them."""
    if DeflatedExplicitVRLittleEndian.encode() not in data[:1000]:
        return data
    (length,) = struct.unpack_from("<L", data, 140)  # of the file meta information
    return data + zlib.decompress(data[144 + length :], -zlib.MAX_WBITS)


def found(data: bytes) -> set[bytes]:
    """Return the canaries in the bytes of a file."""
    return {*CANARY.findall(decoded(data))}
