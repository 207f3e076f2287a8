"""Load JSON as servers send it: other encodings than UTF-8, raw control characters, stray backslashes.

References
----------
RFC 8259 §8.1 (JSON is UTF-8), §7 (strings); PS3.18 §F.2 (also whatever Specific Character Set says).
"""

from __future__ import annotations

import codecs
import gc
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dicomdock.dicom.charset import usable_terms

BLANK: Final = " \t\r\n\0\ufeff"
REPLACED: Final = "replaced"
NEVER: Final = (1 << 31) - 1
LARGE: Final = 1 << 20  # bytes; smaller documents are decoded in a few milliseconds
# In these the second byte of a letter can be a backslash, which breaks the JSON where it is read otherwise.
_WITH_BACKSLASH: Final = ("cp932", "big5", "gb18030")
_CHARSET = re.compile(r"""(?i);\s*charset\s*=\s*"?([A-Za-z0-9_.:-]+)""")
_TERMS = re.compile(rb'"00080005"\s*:\s*\{[^{}]*"Value"\s*:\s*(?:\[([^\]]*)\]|"([^"]*)")')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder(strict=False)
_BACKSLASH = re.compile(r'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}|)')


def load(body: bytes, content_type: str = "") -> tuple[object, str]:
    """Return the value of a JSON document, and how letters that are not Unicode were read.

    Returns
    -------
    The value; None for an empty document. Then nothing where the body is Unicode, ``replaced`` where letters
    were replaced, else the name of the encoding in which the body was read.

    Raises
    ------
    ValueError
        It is not JSON in any encoding.
    """
    failure: ValueError | None = None
    for text, reading in _readings(body, content_type):
        try:
            return _loads(text.strip(BLANK)), reading
        except ValueError as error:
            failure = failure or error
    raise failure or ValueError("it is empty")


@contextmanager
def without_full_collections(size: int) -> Iterator[None]:
    """Put off full collections of reference cycles while a large document is decoded, which holds none.

    Each looks through all that was decoded so far: together most of the time that decoding takes, in which no
    other thread has its turn. Young objects are collected as ever.

    Parameters
    ----------
    size : of the document in bytes.
    """
    if size < LARGE:
        yield
        return
    with _put_off.lock:
        if not _put_off.threads:
            _put_off.usual = gc.get_threshold()
            gc.set_threshold(*_put_off.usual[:2], NEVER)
        _put_off.threads += 1
    try:
        yield
    finally:
        with _put_off.lock:
            _put_off.threads -= 1
            if not _put_off.threads:
                gc.set_threshold(*_put_off.usual)


class _PutOff:
    """The threads that put off full collections: the collector is one for all of them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.threads = 0
        self.usual = gc.get_threshold()


_put_off: Final = _PutOff()


def begin(body: bytes) -> str:
    """Return the first letter of a document, whatever its Unicode encoding; empty where it is blank."""
    return body[:400].decode(json.detect_encoding(body), "replace").strip(BLANK)[:1]


def _readings(body: bytes, content_type: str) -> Iterator[tuple[str, str]]:
    unicode = json.detect_encoding(body)
    if not unicode.startswith("utf-8"):
        yield body.decode(unicode, "replace"), ""
    try:
        yield body.decode("utf-8"), ""
        return
    except UnicodeDecodeError:
        pass
    for encoding in filter(None, (_labelled(content_type), _declared(body))):
        yield from _strictly(body, encoding)
    yield body.decode("utf-8", "replace"), REPLACED
    for encoding in _WITH_BACKSLASH:
        yield from _strictly(body, encoding)


def _strictly(body: bytes, encoding: str) -> Iterator[tuple[str, str]]:
    try:
        yield body.decode(encoding), encoding
    except (UnicodeError, LookupError):
        return


def _labelled(content_type: str) -> str:
    """Return the text encoding that a Content-Type names; empty for none, UTF-8 and what is not text."""
    found = _CHARSET.search(content_type)
    try:
        known = codecs.lookup(found[1]) if found else None
    except LookupError:
        return ""
    is_text = known is not None and getattr(known, "_is_text_encoding", True)
    return known.name if known is not None and is_text and known.name != "utf-8" else ""


def _declared(body: bytes) -> str:
    """Return the encoding of the one Specific Character Set that all data sets declare; empty for none."""
    from pydicom import charset

    found = {(listed or alone).replace(b'"', b"").strip() for listed, alone in _TERMS.findall(body)}
    if len(found) != 1:
        return ""
    (term,) = usable_terms([found.pop().decode("ascii", "replace")])
    encoding = str(charset.python_encoding.get(term, "")) if term else ""
    return "" if encoding in ("utf8", "utf-8", "ascii") else encoding


def _loads(text: str) -> object:
    if not text:
        return None
    try:
        found = _decoded(text)
    except ValueError:
        escaped = _BACKSLASH.sub(lambda found: found[0] if len(found[0]) > 1 else "\\\\", text)
        if escaped == text:
            raise
        found = _decoded(escaped)
    return _whole(found) if _SURROGATE.search(text) else found


def _decoded(text: str) -> object:
    """Decode a document, a list item by item: no other thread has its turn within one call of the decoder."""
    if not text.startswith("["):
        return _DECODER.decode(text)
    found: list[object] = []
    at = _behind_blanks(text, 1)
    if text[at : at + 1] == "]":
        at += 1
    else:
        separator = ","
        while separator == ",":
            item, at = _DECODER.raw_decode(text, at)
            found.append(item)
            at = _behind_blanks(text, at)
            separator = text[at : at + 1]
            at = _behind_blanks(text, at + 1)
        if separator != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at - 1)
    if at < len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return found


def _behind_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _whole(value: object) -> object:
    """Replace halves of surrogate pairs: they are not characters, and no file or address can hold them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value
