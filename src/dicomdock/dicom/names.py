"""Person names (PN) as people read them. Pure text; pages escape it."""

from __future__ import annotations

from collections.abc import Mapping

from dicomdock.dicom.json_model import JsonValue


def person_name(value: str | Mapping[str, JsonValue]) -> str:
    """Write a person name as people read it: ``Doe^Jane^^Dr`` becomes ``Doe, Jane, Dr``.

    Parameters
    ----------
    value : the component groups as DICOM JSON gives them, or as one string with ``=`` between them.
        Ideographic and phonetic groups follow in brackets.

    References
    ----------
    PS3.5 §6.2.1 (PN); PS3.18 F.2.2.
    """
    if isinstance(value, str):
        groups = value.split("=")
    else:
        groups = [str(value.get(group) or "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
    first = _components(groups[0])
    # Ideographic and phonetic names are written without commas.
    rest = [" ".join(group.replace("^", " ").split()) for group in groups[1:3] if group.strip("^ ")]
    if not first:
        return " ".join(rest)
    return first + (f" ({', '.join(rest)})" if rest else "")


def _components(group: str) -> str:
    family, given, middle, prefix, suffix = ([part.strip() for part in group.split("^")] + [""] * 5)[:5]
    called = " ".join(part for part in (given, middle) if part)
    return ", ".join(part for part in (family, called, prefix, suffix) if part)
