"""What a server says in words: a page without its tags, the message of an error in JSON, or plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from dicomdock.web.media_type import MediaType

_SILENT = re.compile(r"<(style|script)\b", re.IGNORECASE)
_CLOSING = {name: re.compile(f"</{name}>", re.IGNORECASE) for name in ("style", "script")}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LATIN: Final = frozenset({"iso-8859-1", "latin1", "latin-1", "windows-1252"})
# dcm4chee; AWS, Orthanc; RFC 9457; RFC 6749; Google and others, which wrap their message
_MESSAGES: Final = (
    "errormessage",
    "message",
    "details",
    "title",
    "detail",
    "error",
    "error_description",
    "errors",
)


def words_of(body: bytes, content_type: str) -> str:
    """Return what an answer says as one line of text; not redacted.

    Parameters
    ----------
    body : the answer, or its beginning.
    content_type : as received.
    """
    label = MediaType.parse(content_type)
    latin = label.parameters.get("charset", "").lower() in _LATIN
    text = body.decode("cp1252" if latin else "utf-8", "replace").replace("\0", "")  # zeros: UTF-16
    if text.lstrip().startswith(("{", "[")):
        text = _message(text) or text
        text = text.encode("utf-8", "replace").decode()  # JSON can hold half of a surrogate pair
    return " ".join(_CONTROL.sub(" ", without_tags(text)).split())


def _message(text: str) -> str:
    """Return the message of an error in JSON; empty where it has none that is known."""
    try:
        found = list(dict.fromkeys(_messages(json.loads(text))))
    except (ValueError, RecursionError):
        return ""
    return "; ".join(found)


def _messages(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _messages(item)
    elif isinstance(value, dict):
        by_name = {name.lower(): item for name, item in value.items()}
        for name in _MESSAGES:
            yield from _messages(by_name.get(name))


def without_tags(text: str) -> str:
    """Return the text of a page, in one pass: tags become blanks, and so does what a page does not show."""
    pieces: list[str] = []
    unclosed: set[str] = set()
    at = 0
    while (start := text.find("<", at)) >= 0:
        pieces += (text[at:start], " ")
        silent = _SILENT.match(text, start)
        end = -1
        if silent and (name := silent[1].lower()) not in unclosed:
            closing = _CLOSING[name].search(text, silent.end())
            if closing:
                end = closing.end() - 1
            else:
                unclosed.add(name)
        if end < 0:
            end = text.find(">", start)
        if end < 0:
            at = start
            break
        at = end + 1
    return "".join((*pieces, text[at:]))
