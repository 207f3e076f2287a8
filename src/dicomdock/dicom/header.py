"""What is read of the head of a DICOM file: the attributes that are wanted, and their raw values."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.errors import InvalidInput, WireError

Buffer: TypeAlias = "bytes | mmap.mmap"
Raw: TypeAlias = "Mapping[int, bytes]"

MAX_ITEMS: Final = 64  # items of a wanted sequence that are read, unless more are wanted
MAX_VALUE: Final = 1 << 16  # bytes of one value that are read; more than the standard allows
CHARSET: Final = 0x00080005
SOP_CLASS: Final = 0x00080016
STUDY, SERIES, SOP_INSTANCE = (int(tag_of(keyword), 16) for keyword in UID_KEYWORDS["instances"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """The attributes to read, as tags.

    Parameters
    ----------
    tags : attributes of the data set.
    sequence : a sequence of it, 0 for none.
    in_items : attributes of that sequence's items.
    most_items : items that are read; the others are passed over.
    """

    tags: frozenset[int]
    sequence: int = 0
    in_items: frozenset[int] = frozenset()
    most_items: int = MAX_ITEMS

    @classmethod
    def of(cls, keywords: Iterable[str], sequence: str = "", in_items: Iterable[str] = ()) -> Wanted:
        """Return the same for keywords; character set and identifying UIDs are always among them."""
        always = ("SpecificCharacterSet", "SOPClassUID", *UID_KEYWORDS["instances"])
        tags = frozenset(int(tag_of(keyword), 16) for keyword in (*keywords, *always))
        return cls(
            tags,
            int(tag_of(sequence), 16) if sequence else 0,
            frozenset(int(tag_of(keyword), 16) for keyword in in_items),
        )


@dataclass(frozen=True, slots=True)
class Header:
    """The wanted attributes of one instance, as raw values.

    Parameters
    ----------
    raw : tag -> the bytes of its value.
    items : the same for each item of the wanted sequence.
    transfer_syntax : UID; empty where the file does not state it.
    byteorder : of binary values.
    trailing : bytes behind the end of the data set.
    obstacle : what ends the reading of pydicom before the end of the data set, such as ``(FFFE,E00D) stands
        in no sequence``; may be empty.
    odd_vrs : where in the file VRs stand that do not exist, and what each is to be read as.
    """

    raw: Raw
    items: Sequence[Raw] = ()
    transfer_syntax: str = ""
    byteorder: str = "little"
    trailing: int = 0
    obstacle: str = ""
    odd_vrs: Sequence[tuple[int, bytes]] = ()

    def uid(self, tag: int) -> str:
        """Return a UID without its padding, empty where there is none."""
        raw = self.raw.get(tag, b"").strip(b" \0\t\r\n")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def resource(self) -> Resource:
        """Return the instance by its own UIDs.

        Raises
        ------
        WireError
            One is missing, or cannot be a UID.
        """
        study, series, instance = (self.uid(tag) for tag in (STUDY, SERIES, SOP_INSTANCE))
        named = {"Study Instance UID": study, "Series Instance UID": series, "SOP Instance UID": instance}
        if missing := [name for name, text in named.items() if not text]:
            raise WireError(f"The DICOM file has no {' and no '.join(missing)}.")
        try:
            return Resource(study, series, instance)
        except InvalidInput as error:
            raise WireError(f"The DICOM file has an unusable UID: {error}") from error


IDENTITY: Final = Wanted.of(())
