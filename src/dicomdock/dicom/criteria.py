"""Criteria: what one matching key asks for, and whether a value satisfies it.

One reading of the key (``parse``) serves both the local filter (``Query.matches``) and the archive's SQL, so
that both mean the same.

References
----------
PS3.4 §C.2.2.2 (attribute matching); PS3.18 §8.3.4 (how QIDO-RS writes it).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dicomdock.dicom.charset import is_text
from dicomdock.errors import InvalidInput

WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
NUMBER_VRS = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
COMMA_VRS = frozenset({"UI", "CS"}) | NUMBER_VRS  # whose values hold no comma (PS3.5 §6.2)
MAX_STARS = 10  # in one pattern; more only serve to keep a database busy
NEAR_WORD = 4  # letters from which on a fuzzy word may differ in one letter

# PS3.5 §6.2; hours alone, or with minutes, seconds and a fraction. Old files write 10:15:00 and 2020.01.31.
_DATE = re.compile(r"\d{8}\Z")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?\Z")
_DATETIME = r"\d{4}(?:\d\d){0,5}(?:\.\d{1,6})?(?:[+-]\d{4})?"
_DATETIME_RANGE = re.compile(rf"(?P<low>{_DATETIME})?-(?P<high>{_DATETIME})?\Z|(?P<only>{_DATETIME})\Z")
# Letters that carry their mark inside and so survive the decomposition.
_UNMARKED = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "ð": "d"})


@dataclass(frozen=True, slots=True)
class Universal:
    """Everything matches (zero-length key, or ``*`` alone, also as one value of a list)."""


@dataclass(frozen=True, slots=True)
class Empty:
    """Only an absent or empty value matches (key ``""``)."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these values: single value, UID list and multiple value matching.

    Parameters
    ----------
    values : as ``normal`` gives them.
    """

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """One of these patterns; ``*`` stands for any letters, ``?`` for one."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, both included; an empty one is open.

    The bounds are written so that dates and times in the form of ``normal`` compare with them as plain text.

    Parameters
    ----------
    ranged : the key was written as a range, not as a single value of limited precision.
    """

    low: str
    high: str
    ranged: bool = True


@dataclass(frozen=True, slots=True)
class Name:
    """One of these person names or patterns, folded; each one component group or several with ``=``."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FuzzyName:
    """A person name with all of these words, in any order: begun so, or long ones with a letter amiss."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NameWords:
    """A person name that has all of these folded words in it, in any order, none across component groups."""

    words: tuple[str, ...]


Criterion: TypeAlias = Universal | Empty | OneOf | Wildcard | Interval | Name | FuzzyName | NameWords


def parse(keyword: str, vr: str, key: str, *, fuzzy: bool = False, typed: bool = False) -> Criterion:
    """Read a matching key.

    Parameters
    ----------
    keyword : for the error's words.
    vr : value representation of the attribute.
    key : as QIDO writes it.
    fuzzy : fuzzy matching of person names was asked for.
    typed : person names are as people type them; one in quotation marks is as the standard reads it.

    Raises
    ------
    InvalidInput
        The key cannot be one of this VR.
    """
    if not is_text(key):
        raise InvalidInput(f"What {keyword} is to match is not text in the encoding of this system.")
    key = key.strip(" \0")
    if "\0" in key:  # which would end the pattern of the database
        raise InvalidInput(f"What {keyword} is to match has a zero byte within it.")
    if not key or key.strip("*") == "":
        return Universal()
    if key == '""':
        return Empty()
    if vr in ("DA", "TM", "DT"):
        return _interval(keyword, vr, key)
    values = split_values(vr, key)
    if typed and vr == "PN" and not fuzzy:
        if typed_name := typed_words(key):
            return NameWords(typed_name)
        values = tuple(map(unquoted, values))
    if not values:
        raise InvalidInput(f"{keyword} is searched by a value, and {key[:80]!r} holds none.")
    if any(not value.strip("*") for value in values):  # one of a list that matches everything
        return Universal()
    if vr == "UI":
        return OneOf(values)
    if vr in NUMBER_VRS:
        if not all(map(_is_number, values)):
            raise InvalidInput(f"{keyword} is searched by a number, not by {key[:80]!r}.")
        return OneOf(tuple(normal(vr, value) for value in values))
    if any(value.count("*") > MAX_STARS for value in values):
        raise InvalidInput(f"{keyword}: a pattern may hold at most {MAX_STARS} stars.")
    if vr == "PN":
        if fuzzy and not _is_pattern(key) and (wanted := words(fold_name(key))):
            return FuzzyName(tuple(wanted))
        patterns = tuple(map(fold_name, values))
        universal = any("*" in pattern and not pattern.strip("*=") for pattern in patterns)
        return Universal() if universal else Name(patterns)
    if vr in WILDCARD_VRS and any(map(_is_pattern, values)):
        return Wildcard(values)
    return OneOf(values)


def split_values(vr: str, key: str) -> tuple[str, ...]:
    """Return the values of a key; a comma divides them where no value of the VR can hold one."""
    separators = r"[,\\]" if vr in COMMA_VRS else r"\\"
    return tuple(value for part in re.split(separators, key) if (value := part.strip(" \0")))


def accepts(criterion: Criterion, vr: str, values: Sequence[str]) -> bool:
    """Return whether an attribute with these values satisfies the criterion.

    Parameters
    ----------
    values : every value of the attribute, as text; person names with their component groups divided by ``=``.
    """
    match criterion:
        case Universal():
            return True
        case Empty():
            return not any(values)
        case OneOf(wanted):
            return any(normal(vr, value) in wanted for value in values if value)
        case Wildcard(patterns):
            return any(like(pattern, value.strip()) for value in values if value for pattern in patterns)
        case Interval(low=low, high=high):
            return any(_inside(vr, normal(vr, value), low, high) for value in values if value)
        case Name(patterns):
            return any(
                _name_like(pattern, fold_name(value)) for value in values if value for pattern in patterns
            )
        case FuzzyName(wanted):
            return any(_name_near(wanted, fold_name(value)) for value in values if value)
        case NameWords(wanted):
            return any(_name_contains(wanted, fold_name(value)) for value in values if value)


def normal(vr: str, value: str) -> str:
    """Write a value so that equal ones are equal text and dates and times sort as text."""
    value = value.strip(" \0")
    if vr == "DA":
        digits = value.replace(".", "").replace("-", "")
        return digits if len(digits) == 8 else value
    if vr == "TM":
        return value.replace(":", "")
    if vr in NUMBER_VRS:
        try:
            return str(int(value))
        except ValueError:
            try:
                return repr(float(value))
            except ValueError:
                return value
    return value


def combined(date: Criterion | None, time: Criterion | None) -> tuple[Interval, Interval] | None:
    """Return the criteria of a date and its time where both are ranges and so name one span together."""
    if isinstance(date, Interval) and isinstance(time, Interval) and date.ranged and time.ranged:
        return date, time
    return None


def within(date: str, time: str, dates: Interval, times: Interval) -> bool:
    """Return whether a date with its time lies in the span that two ranges name together.

    References
    ----------
    PS3.4 §C.2.2.2.5 (range matching of a combined date and time).
    """
    if not date:
        return False
    after = not dates.low or date > dates.low or (date == dates.low and time >= times.low)
    before = (
        not dates.high or date < dates.high or (date == dates.high and (not times.high or time <= times.high))
    )
    return after and before


def like(pattern: str, value: str) -> bool:
    """Return whether a value has the form of a pattern with ``*`` and ``?``, letter case included."""
    return _expression(pattern).match(value) is not None


def fold_name(name: str) -> str:
    """Write a person name without case, accents, width, double blanks and empty components at the end.

    Component groups stay divided by ``=``, components by ``^``.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    plain = "".join(letter for letter in plain if not "\u0300" <= letter <= "\u036f")
    plain = unicodedata.normalize("NFC", plain).translate(_UNMARKED)
    groups = ["^".join(" ".join(part.split()) for part in group.split("^")) for group in plain.split("=")]
    return "=".join(group.rstrip("^ ") for group in groups).rstrip("=")


def typed_words(typed: str) -> tuple[str, ...]:
    """Return the folded words of a person name as it is typed: ``Schmidt, Hans`` or ``hans schmidt``.

    Empty where it is written for the standard's own matching: with wildcards, several values, or in quotation
    marks.
    """
    if _is_pattern(typed) or "\\" in typed or is_quoted(typed):
        return ()
    return tuple(dict.fromkeys(name_words(fold_name(typed))))


def name_words(name: str) -> list[str]:
    """Divide a person name into its words as they are typed: at hyphens and apostrophes too."""
    return re.findall(r"[^\s^=,.'\u2019\u2010-\u2015-]+", name)


def is_quoted(typed: str) -> bool:
    """Return whether a value stands in quotation marks, so that it is taken exactly as written."""
    return len(typed) > 2 and typed[0] == typed[-1] == '"'


def unquoted(typed: str) -> str:
    """Return a value without the quotation marks that it stands in."""
    return typed[1:-1] if is_quoted(typed) else typed


def broad_pattern(word: str) -> str:
    """Return a wildcard that every name with this folded word matches, however a server writes its accents.

    Only letters that no alphabet of DICOM's character sets marks with an accent stay.
    """
    runs = [run for run in re.split(r"[^bfhjmpqvwx0-9]+", word) if run]
    return f"*{'*'.join(runs[: MAX_STARS - 1])}*" if runs else "*"


def words(folded: str) -> list[str]:
    """Divide a folded person name into its words."""
    return re.findall(r"[^\s^=,.]+", folded)


def _is_pattern(value: str) -> bool:
    return "*" in value or "?" in value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _interval(keyword: str, vr: str, key: str) -> Interval:
    if vr == "DT":
        found = _DATETIME_RANGE.match(key)
        if found is None:
            raise InvalidInput(f"{keyword} is searched by YYYYMMDDHHMMSS or A-B, not by {key[:80]!r}.")
        if only := found["only"]:
            return Interval(only, only, ranged=False)
        return Interval(found["low"] or "", found["high"] or "")
    low, dash, high = key.partition("-")
    low, high = normal(vr, low), normal(vr, high)
    form, shape = (_DATE, "YYYYMMDD") if vr == "DA" else (_TIME, "HHMMSS")
    if not (low or high) or any(bound and not form.match(bound) for bound in (low, high)):
        raise InvalidInput(
            f"{keyword} is searched by {shape} or a range {shape}-{shape}, not by {key[:80]!r}."
        )
    if not dash:
        high = low
    if vr == "TM":
        low, high = _first_moment(low), _last_moment(high)
    return Interval(low, high, ranged=bool(dash))


def _first_moment(time: str) -> str:
    """Cut what is zero anyway, so that a value which says less ("10" for 10:00:00) is not below the bound."""
    time = time.rstrip("0").rstrip(".") if "." in time else time
    while len(time) > 2 and "." not in time and time.endswith("00"):
        time = time[:-2]
    return time


def _last_moment(time: str) -> str:
    """Complete a time with its last moment ("10" means until 10:59:59.999999)."""
    if not time:
        return ""
    if "." in time:
        return time.ljust(13, "9")
    return time + "5959"[len(time) - 2 :] + ".999999"


def _inside(vr: str, value: str, low: str, high: str) -> bool:
    if vr == "DT":
        return (not low or _moment(value, "first") >= _moment(low, "first")) and (
            not high or _moment(value, "first") <= _moment(high, "last")
        )
    return (not low or value >= low) and (not high or value <= high)


def _moment(value: str, edge: str) -> tuple[int, int, int]:
    """Return a DT value as day, second and microsecond in UTC, at the first or last edge of its range."""
    from datetime import datetime, timedelta

    digits, offset = value, timedelta()
    if len(value) > 5 and value[-5] in "+-" and value[-4:].isdigit():
        digits, sign = value[:-5], 1 if value[-5] == "+" else -1
        offset = sign * timedelta(hours=int(value[-4:-2]), minutes=int(value[-2:]))
    whole, _, fraction = digits.partition(".")
    filler = "00000101000000" if edge == "first" else "99991231235959"
    try:
        if edge == "last" and len(whole) == 6:  # the last day of that month
            month = datetime.strptime(whole, "%Y%m")
            whole = ((month + timedelta(days=31)).replace(day=1) - timedelta(days=1)).strftime("%Y%m%d")
        moment = datetime.strptime(whole + filler[len(whole) :], "%Y%m%d%H%M%S") - offset
    except (ValueError, OverflowError):
        return (-1, 0, 0)
    filled = fraction.ljust(6, "0" if edge == "first" else "9") if fraction or len(whole) == 14 else ""
    micro = int(filled or ("000000" if edge == "first" else "999999"))
    return (moment.toordinal(), moment.hour * 3600 + moment.minute * 60 + moment.second, micro)


def _expression(pattern: str) -> re.Pattern[str]:
    pieces = [re.escape(piece).replace(r"\?", ".") for piece in re.sub(r"\*+", "*", pattern).split("*")]
    if len(pieces) == 1:
        return re.compile(pieces[0] + r"\Z", re.DOTALL)
    # Each inner piece is taken where it first fits and never tried again, so a hostile pattern costs no more.
    inner = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1])
    return re.compile(f"{pieces[0]}{inner}.*{pieces[-1]}\\Z", re.DOTALL)


def _name_like(pattern: str, name: str) -> bool:
    groups = name.split("=")
    if "=" not in pattern:
        return any(like(pattern, group) for group in groups if group)
    groups += [""] * (3 - len(groups))
    return all(
        like(wanted, group) for wanted, group in zip(pattern.split("="), groups, strict=False) if wanted
    )


def _name_near(wanted: Sequence[str], name: str) -> bool:
    present = words(name)
    return all(any(_word_near(word, other) for other in present) for word in wanted)


def _name_contains(wanted: Sequence[str], name: str) -> bool:
    groups = name.split("=")
    return all(any(word in group for group in groups) for word in wanted)


def _word_near(word: str, other: str) -> bool:
    return other.startswith(word) or (len(word) >= NEAR_WORD and _one_letter_apart(word, other))


def _one_letter_apart(one: str, two: str) -> bool:
    """Return whether one letter inserted, left out or exchanged makes the words equal."""
    if len(one) > len(two):
        one, two = two, one
    if len(two) - len(one) > 1:
        return False
    at = next((index for index, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), len(one))
    return one[at + 1 :] == two[at + 1 :] if len(one) == len(two) else one[at:] == two[at + 1 :]
