"""Lookup tables of a header: read tolerantly, and applied to values.

References
----------
PS3.3 §C.11.1 (Modality LUT), §C.11.2.1.1 (VOI LUT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import numbers

MOST_ENTRIES = 1 << 16


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A table from values to entries; values beyond an end take the entry there.

    Parameters
    ----------
    first : the value that the first entry is for.
    data : the entries, 16 bits each, little endian.
    bits : of an entry that is shown white.
    """

    first: int
    data: bytes
    bits: int

    @property
    def entries(self) -> npt.NDArray[np.uint16]:
        """The entries."""
        return np.frombuffer(self.data, "<u2")

    @property
    def active(self) -> tuple[int, int]:
        """Least and greatest value between which the entries change."""
        entries = self.entries
        changes = np.flatnonzero(entries[1:] != entries[:-1])
        if not changes.size:
            return self.first, self.first + len(entries) - 1
        return self.first + int(changes[0]), self.first + int(changes[-1]) + 1

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        """Return the entry of each value; the nearest one of values that are not whole numbers."""
        entries = self.entries
        if values.dtype.kind == "f":
            offset = np.rint(np.nan_to_num(values.astype(np.float64), nan=-np.inf) - self.first)
        else:
            offset = values.astype(np.int64) - self.first
        found: npt.NDArray[np.uint16] = entries[offset.clip(0, len(entries) - 1).astype(np.int64)]
        return found


def read_table(item: Dataset, *, signed: bool = False) -> LookupTable | None:
    """Read an item of the Modality or VOI LUT Sequence; None where its entries are not there.

    Entries of 8 bits may be stored one or two a word. More bits than the descriptor states are taken by what
    the entries need, and a first value of the wrong VR by its bits.

    Parameters
    ----------
    item : with LUT Descriptor and LUT Data.
    signed : values may be negative.
    """
    descriptor = numbers(item, "LUTDescriptor", 3)
    data = item.get("LUTData")
    if descriptor is None or data is None or data == b"":
        return None
    count, first, bits = (int(number) for number in descriptor)
    count = count if count > 0 else count + MOST_ENTRIES
    if first >= MOST_ENTRIES // 2 and signed:
        first -= MOST_ENTRIES
    entries: npt.NDArray[Any]
    if isinstance(data, (bytes, bytearray)):
        little = item.original_encoding[1] is not False
        packed = len(data) < 2 * count and len(data) >= count  # two entries of 8 bits in a word
        entries = np.frombuffer(bytes(data[: len(data) // 2 * 2]), "<u2" if little else ">u2")
        if packed:
            entries = np.frombuffer(entries.astype("<u2").tobytes(), np.uint8)
    else:
        found = numbers(item, "LUTData")
        if found is None:
            return None
        entries = np.asarray(found, np.int64) & 0xFFFF
        if len(entries) < count <= 2 * len(entries) and bits <= 8:
            entries = np.frombuffer(entries.astype("<u2").tobytes(), np.uint8)
    entries = entries[:count].astype("<u2")
    if not entries.size:
        return None
    stated = bits if 1 <= bits <= 16 else 16
    return LookupTable(first, entries.tobytes(), max(stated, int(entries.max()).bit_length()))
