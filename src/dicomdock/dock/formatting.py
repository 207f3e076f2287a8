"""Human forms of DICOM values: dates, ages, sizes, counts. Pure text; the pages escape it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_AGE = re.compile(r"0*(\d+)([DWMY])\Z")
_AGE_UNITS = {"D": "d", "W": "wk", "M": "mo", "Y": "y"}


def dicom_date(text: str) -> str:
    """Write a DICOM date as ISO 8601; what is not a date stays as it came."""
    digits = text.strip().replace(".", "").replace("-", "")
    if len(digits) == 8 and digits.isdigit():
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return text.strip()


def dicom_time(text: str) -> str:
    """Write a DICOM time as hours and minutes; what is not a time stays as it came."""
    digits = text.strip().replace(":", "")
    return f"{digits[:2]}:{digits[2:4]}" if len(digits) >= 4 and digits[:4].isdigit() else text.strip()


def age(age_string: str, birth: str = "", on: str = "") -> str:
    """Write a patient's age at the study: ``042Y`` becomes ``42 y``; else from birth date and study date.

    References
    ----------
    PS3.5 §6.2 (AS).
    """
    if found := _AGE.match(age_string.strip()):
        return f"{found[1]} {_AGE_UNITS[found[2]]}"
    born, then = _as_date(birth), _as_date(on)
    if born is None or then is None or then < born:
        return ""
    return f"{then.year - born.year - ((then.month, then.day) < (born.month, born.day))} y"


def _as_date(text: str) -> date | None:
    try:
        return date.fromisoformat(dicom_date(text))
    except ValueError:
        return None


def size(count: float) -> str:
    """Write bytes with the unit that keeps the number short: 1,000 bytes are a kB, as disks count."""
    for unit in _UNITS:
        if count < 999.5 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" or count >= 9.95 else f"{count:.1f} {unit}"


def number(count: int) -> str:
    """Write a number with its thousands apart."""
    return f"{count:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """Write a number with its noun: ``1 study``, ``1,204 images``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Write a time span in its largest two units: ``2 h 5 min``, ``3 min 20 s``, ``8 s``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest and minutes < 10 else "")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{hours // 24} days"


def ago(seconds: float) -> str:
    """Write how long ago something was."""
    return "just now" if seconds < 10 else f"{duration(seconds)} ago"


def listed(items: Iterable[str], *, most: int = 4) -> str:
    """Write a list of words, and how many more there are than are shown."""
    words: Sequence[str] = list(items)
    shown = list(words[:most])
    if len(words) > most:
        shown.append(f"{len(words) - most} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
