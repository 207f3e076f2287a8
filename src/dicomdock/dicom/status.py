"""Why an instance was not stored, or stored with a remark: the standard's and servers' codes in words.

References
----------
PS3.18 §10.5.3, Annex I.2.2; PS3.4 Table B.2-1; PS3.7 Annex C.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ALREADY_THERE: Final = frozenset({0x0111, 45070})  # duplicate SOP instance (PS3.7); Azure: already exists
GENERAL_FAILURE: Final = frozenset({0x0110})  # 272; Google and others use it for duplicates too

REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x0105: "no such attribute",
        0x0106: "an attribute has an invalid value",
        0x0107: "the list of attributes was not all understood",
        0x0110: "the server failed to process it",
        0x0111: "an instance with this UID is there already",
        0x0112: "no such object instance",
        0x0115: "an argument has an invalid value",
        0x0116: "an attribute is out of range",
        0x0117: "its UID is invalid",
        0x0119: "its class and its instance contradict each other",
        0x0120: "a required attribute is missing",
        0x0121: "a required attribute is empty",
        0x0122: "the server does not take this kind of object (SOP class)",
        0x0124: "this login may not store here",
        0x0210: "it was sent twice",
        0x0211: "the server does not know this operation",
        0x0212: "an argument was mistyped",
        0x0213: "the server ran out of resources",
        0xB000: "some of its values were changed to fit the server",
        0xB006: "some of its elements were left out",
        43264: "the server found its data set invalid",  # Azure: validation failed
        43265: "it belongs to another study than the one stored into",  # Azure
        0xB007: "its data set does not match its SOP class, or the server cannot search some values",
        45070: "an instance with this UID is there already",  # Azure
        45071: "an instance with this UID is being stored by someone else",  # Azure
        0xC122: "the server does not take its transfer syntax",
        0xC409: "it contradicts what the server holds",
    }
)
# The standard gives these in ranges: the first byte or nibble says what it is.
_RANGES: Final = (
    (0xA700, 0xA7FF, "the server has no room left"),
    (0xA900, 0xA9FF, "its data set does not match its SOP class"),
    (0xC000, 0xCFFF, "the server cannot understand it"),
    (0xB000, 0xBFFF, "the server has a remark"),
)


def words(code: int | None) -> str:
    """Say a Failure Reason or Warning Reason in words."""
    if code is None:
        return ""
    if code in REASONS:
        return REASONS[code]
    return next((text for low, high, text in _RANGES if low <= code <= high), f"reason {code} (0x{code:04X})")
