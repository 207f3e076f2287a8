"""Names, UIDs and dates that stand for others, made from a key and nothing else.

The same key gives the same pseudonyms on every day and every machine, so what is sent at different times
belongs together; without the key nobody can tell which pseudonym is whose, nor try all Patient IDs to find
out.

References
----------
RFC 2104 (HMAC); PS3.5 §B.2 (UIDs from UUIDs).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from datetime import datetime, timedelta

from dicomdock.errors import InvalidInput

KEY_BYTES = 32  # as many as the digest has
NAME_LETTERS = 12  # 60 bits: two of a million patients share a name with a chance of one in two million
SHIFT_DAYS = (1, 3652)  # dates go back by up to ten years

# What the standard registers: classes, syntaxes and frames of reference, nobody's own UIDs.
_STANDARD_UID = re.compile(r"1\.2\.840\.10008\.[0-9.]{1,50}")
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})(.*)", re.DOTALL)


class Pseudonyms:
    """What stands for the identifiers of patients and objects, by one key.

    Parameters
    ----------
    key : at least 32 secret bytes.

    Raises
    ------
    InvalidInput
        The key is too short.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise InvalidInput(f"A key of {len(key)} bytes is too short; it needs at least {KEY_BYTES}.")
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms(...)"

    def uid(self, uid: str) -> str:
        """Return the UID that stands for another, however that is padded; those of the standard stay."""
        uid = uid.strip(" \0\t\r\n")
        if not uid or _STANDARD_UID.fullmatch(uid):
            return uid
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', uid)[:16], version=5).int}"

    def name(self, kind: str, value: str) -> str:
        """Return 12 letters and digits that stand for a value; empty for an empty one.

        Parameters
        ----------
        kind : what the value is, so that equal values of different kinds have different pseudonyms.
        """
        if not value:
            return ""
        return base64.b32encode(self._digest(kind, value)).decode("ascii")[:NAME_LETTERS]

    def shift(self, patient: str) -> timedelta:
        """Return by how much the dates of a patient go back: whole days, so that times of day stay."""
        first, last = SHIFT_DAYS
        number = int.from_bytes(self._digest("dates", patient)[:8], "big")
        return timedelta(days=-(first + number % (last - first + 1)))

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.digest(
            self._key, f"dicomdock {kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256
        )


def shifted(value: str, by: timedelta) -> str | None:
    """Return a date (DA) or date and time (DT) moved by whole days; None where it names no day."""
    found = _DATE.fullmatch(value.strip())
    if found is None or not re.fullmatch(r"[\d.]{0,13}([+-]\d{4})?", found[4].strip()):
        return None
    try:
        day = datetime(int(found[1]), int(found[2]), int(found[3])) + by
    except (ValueError, OverflowError):
        return None
    return f"{day:%Y%m%d}".zfill(8) + found[4].strip()
