"""What all formats share: cleaning the text, undoing the percent-encoding once, checking UIDs and tokens."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from urllib.parse import unquote_to_bytes

from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import MAX_TOLERATED, is_uid
from dicomdock.errors import LaunchError
from dicomdock.launch import MAX_LINK
from dicomdock.launch.link.request import Secret

MAX_KEY = 64  # characters; the longest that a patient ID may be (PS3.5 §6.2, LO)
MAX_RESOURCES = 200  # a link that asks for more is a mistake or a flood
UNICODE_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
# What portals write when they have no token: dcm4chee leaves the placeholder or its name, Orthanc Explorer 2
# JavaScript's ``undefined``.
_NO_TOKEN = frozenset(("", "undefined", "null", "none", "access_token", "{{access_token}}"))
_TOKEN = re.compile(r"[!-~]{1,8192}\Z")


def clean_link(text: str) -> str:
    """Return the link without blanks around it, or refuse it for its length or for invisible characters."""
    if len(text) > MAX_LINK or len(text.encode("utf-8", "surrogatepass")) > MAX_LINK:
        raise LaunchError("This link is longer than 16 kB; dicomdock does not open it.")
    link = text.strip(" \t\r\n")
    if UNICODE_CONTROLS.search(link):
        raise LaunchError(
            "This link holds control characters or bytes that are not text; dicomdock does not open it."
        )
    return link


def decode(text: str, *, plus_is_blank: bool = False) -> str:
    """Undo percent-encoding, once, and drop blanks around the value.

    Parameters
    ----------
    text : one key or value as it stands in the link.
    plus_is_blank : ``+`` stands for a blank, as in web forms; in ``slicer://`` links it stands for itself.

    Raises
    ------
    LaunchError
        The bytes are not UTF-8, or hold control characters.
    """
    if plus_is_blank:
        text = text.replace("+", " ")
    try:
        value = unquote_to_bytes(text).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise LaunchError(
            "This link's percent-encoding is not UTF-8; the page that made it must be corrected."
        ) from None
    if UNICODE_CONTROLS.search(value):
        raise LaunchError("This link hides control characters in its values; dicomdock does not open it.")
    return value


def read_query(
    query: str,
    *,
    lists: Container[str] = (),
    only: Container[str] | None = None,
    plus_is_blank: bool = False,
) -> dict[str, str]:
    """Read ``key=value&key=value``.

    Parameters
    ----------
    query : the part behind the question mark, still encoded.
    lists : keys that may be given several times; their values are joined by commas.
    only : the keys that are read, others being passed over; None to read all.
    plus_is_blank : see ``decode``.

    Raises
    ------
    LaunchError
        A key that is not a list is given twice with different values: which one counts would be a guess.
    """
    values: dict[str, str] = {}
    for pair in query.split("&"):
        if not pair.strip():
            continue
        raw_key, _, raw_value = pair.partition("=")
        key = decode(raw_key, plus_is_blank=plus_is_blank)
        if only is not None and key not in only:
            continue
        value = decode(raw_value, plus_is_blank=plus_is_blank)
        if key not in values:
            values[key] = value
        elif key in lists:
            values[key] += "," + value
        elif values[key] != value:
            named = key if only is not None else "the same key"
            raise LaunchError(
                f"This link gives {named} twice with different values, and which one counts would be a guess;"
                " the page that made it must be corrected."
            )
    return values


def exact_value(value: str) -> str:
    """Return a search key as it is, or refuse wildcards: a link names one patient or order, no more."""
    if len(value) > MAX_KEY or any(sign in value for sign in "*?\\"):
        raise LaunchError(
            "This link searches by a value that is too long or holds wildcards; it is not opened."
        )
    return value


def read_token(text: str) -> Secret | None:
    """Return the token, or None for what portals write when they have none.

    Raises
    ------
    LaunchError
        It could not stand in a header field.
    """
    token = text.strip()
    if token.lower() in _NO_TOKEN:
        return None
    if not _TOKEN.match(token):
        raise LaunchError(
            "This link's token holds blanks or characters that no token has; ask the page for a new link."
        )
    return Secret(token)


def read_uids(text: str, what: str) -> tuple[str, ...]:
    """Return the UIDs of a comma-separated list, each once, in the order of the link.

    They may be longer than 64 characters where a server has assigned such.

    Raises
    ------
    LaunchError
        One is not a UID, or there are too many.
    """
    uids: dict[str, None] = {}
    for item in text.split(","):
        uid = item.strip()
        if not uid:
            continue
        if not is_uid(uid):
            raise LaunchError(f"This link's {what} is not a DICOM UID: digits and dots.")
        if len(uid) > MAX_TOLERATED:
            raise LaunchError(f"This link's {what} is longer than {MAX_TOLERATED} characters.")
        uids[uid] = None
    if len(uids) > MAX_RESOURCES:
        raise LaunchError(
            f"This link asks for more than {MAX_RESOURCES} studies or series; open fewer at a time."
        )
    return tuple(uids)


def resources_of(studies: Iterable[str], series: Iterable[str] = ()) -> tuple[Resource, ...]:
    """Pair series with their study: series make sense below exactly one study.

    Raises
    ------
    LaunchError
        Series are named, and several studies or none.
    """
    studies, series = tuple(studies), tuple(series)
    if not series:
        return tuple(Resource(study) for study in studies)
    if len(studies) != 1:
        raise LaunchError(
            "This link names series without saying of which one study; it must name exactly one study."
        )
    return tuple(Resource(studies[0], uid) for uid in series)
