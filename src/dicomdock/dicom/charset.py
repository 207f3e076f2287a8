"""Decode text of a data set as its Specific Character Set states, and as well as it can be where it errs.

References
----------
PS3.5 §6.1 (character repertoires), §6.2.1 (person names); PS3.3 §C.12.1.1.2.
"""

from __future__ import annotations

from collections.abc import Sequence


def decode_text(value: bytes, vr: str, charset: bytes) -> str:
    """Decode a value.

    Where no usable character set is declared, bytes that are valid UTF-8 are read as UTF-8.
    """
    from pydicom import charset as charsets
    from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

    from dicomdock.dicom.read_errors import READ_ERRORS, quiet

    terms = usable_terms(charset.decode("ascii", "replace").strip("\0 ").split("\\"))
    if not any(terms):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    with quiet():
        try:
            encodings = charsets.convert_encodings(terms if any(terms) else "ISO_IR 6")
            if vr == "PN":
                return "\\".join(str(PersonName(part, encodings)) for part in _names(value, encodings))
            return charsets.decode_bytes(value, encodings, TEXT_VR_DELIMS)
        except READ_ERRORS:
            return value.decode("utf-8", "replace")


def is_text(text: str) -> bool:
    """Return whether a text can be written: it may hold bytes that an argument had and no encoding knows."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def usable_terms(declared: Sequence[str]) -> list[str]:
    """Return the Defined Terms of Specific Character Set, in capitals; empty for what is none.

    The default repertoire counts as none: it has no letters beyond ASCII.
    """
    from pydicom import charset

    terms = []
    for text in declared:
        term = text.strip(" \0").upper()
        known = term in charset.python_encoding and term not in ("", "ISO_IR 6", "ISO 2022 IR 6")
        if not known and term not in ("", "ISO_IR 6", "ISO 2022 IR 6"):  # "ISO-IR 100", "ISO IR 192"
            term = "ISO_IR" + term[6:] if term[:3] == "ISO" and term[4:6] == "IR" else term
            known = term in charset.python_encoding
        terms.append(term if known else "")
    return terms


def _names(value: bytes, encodings: Sequence[str]) -> list[bytes]:
    # In these a backslash can be the second byte of a letter.
    return [value] if encodings[0] in ("gb18030", "gbk", "shift_jis") else value.split(b"\\")
