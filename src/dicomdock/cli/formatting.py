"""Numbers and foreign text as a terminal shows them."""

from __future__ import annotations

import re
import unicodedata

from dicomdock.errors import InvalidInput


def plain(text: str) -> str:
    """Return text from anywhere without characters that could steer a terminal."""
    return "".join(
        letter if unicodedata.category(letter) not in ("Cc", "Cf", "Cs") else " " if letter.isspace() else "?"
        for letter in text
    )


def size(count: float) -> str:
    """Return a number of bytes for people: ``81.2 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def bytes_of(text: str) -> int:
    """Read a number of bytes as people write it: ``500MB``, ``1.5 TB``, ``1024``.

    Raises
    ------
    InvalidInput
        It is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if found is None:
        raise InvalidInput(f"{text!r} is not a size such as 500MB or 20GB.")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2].lower() or " "))


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number and its noun: ``1 instance``, ``3 series``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
