"""UIDs: checking and generating them, and the attributes that identify a study, series or instance.

References
----------
PS3.5 §9 (Unique Identifiers), Annex B (creating a UID); PS3.18 §10.1.1.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Final

from dicomdock.errors import InvalidInput

MAX_UID_LENGTH: Final = 64  # characters, PS3.5 §9.1
UID_KEYWORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "studies": ("StudyInstanceUID",),
    "series": ("StudyInstanceUID", "SeriesInstanceUID"),
    "instances": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}
"""The attributes that identify a match of each search level, from the study down; the last one is its own."""

MAX_TOLERATED: Final = 256  # characters of a UID that somebody else assigned; AWS HealthImaging allows these
_STRICT_UID = re.compile(r"[0-9]+(\.[0-9]+)*\Z")
# A server's own odd UID is passed on percent-encoded, but nothing that separates values, or that some program
# on the way would read as a path.
_SEPARATORS: Final = frozenset("/\\,%")


def new_uid() -> str:
    """Return a new UID, derived from a random UUID."""
    return f"2.25.{uuid.uuid4().int}"


def check_uid(text: str, *, tolerant: bool = False) -> str:
    """Return the UID without surrounding white space and NULs, or refuse it.

    Parameters
    ----------
    text : the UID as it came.
    tolerant : also accept what somebody else assigned: up to 256 printable characters that can be
        percent-encoded; never separators, or dots or wildcards alone.

    Raises
    ------
    InvalidInput
        The text is not a UID.

    References
    ----------
    PS3.5 §9.1.
    """
    uid = text.strip(" \0\t\r\n")
    if tolerant:
        valid = len(uid) <= MAX_TOLERATED and uid.isprintable() and _SEPARATORS.isdisjoint(uid)
        if not valid or not uid.strip(". *?"):
            raise InvalidInput(f"{shown(text)} cannot be used as a DICOM UID.")
    elif len(uid) > MAX_UID_LENGTH or not _STRICT_UID.match(uid):
        raise InvalidInput(f"{shown(text)} is not a DICOM UID: digits and dots, at most 64 characters.")
    return uid


def is_uid(text: str) -> bool:
    """Return whether a text consists of the digits and dots of a UID, whatever its length."""
    return _STRICT_UID.match(text) is not None


def shown(text: str) -> str:
    """Return a text as it stands in an error message: quoted, and shortened."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
