"""Addresses out of links: checked more strictly than those that a user types.

References
----------
WHATWG URL Standard (host parsing); RFC 6454 (origins).
"""

from __future__ import annotations

import re

from dicomdock.errors import InvalidInput, LaunchError
from dicomdock.web.url import Origin, Url

MAX_ADDRESS = 2048  # characters
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\s\\<>\"^`{|}]")


def check_address(text: str, what: str = "address") -> str:
    """Return a DICOMweb base URL in its one form: lower case, punycode, no default port, no last slash.

    Parameters
    ----------
    text : the address as the link gives it, decoded.
    what : what it is called in the error.

    Raises
    ------
    LaunchError
        It is not a plain http or https address: another scheme, user information, a query or fragment,
        blanks, backslashes, dot segments, an odd way to write an IP address.
    """
    text = text.strip().removesuffix("?")
    if len(text) > MAX_ADDRESS:
        raise LaunchError(f"This link's {what} is longer than {MAX_ADDRESS} characters.")
    url = read_address(text, what)
    if "?" in text or "#" in text:
        raise LaunchError(f"This link's {what} has a query or fragment; a DICOMweb address has neither.")
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in url.path.split("/")):
        raise LaunchError(f"This link's {what} has '.' or '..' in its path; dicomdock does not open it.")
    return str(url).rstrip("/")


def read_address(text: str, what: str) -> Url:
    """Read an http or https address; refuse what browsers and libraries read differently.

    Raises
    ------
    LaunchError
        As ``check_address``; a query is left alone.
    """
    if _UNSAFE.search(text):
        raise LaunchError(
            f"This link's {what} holds blanks, backslashes or quotes; dicomdock does not open it."
        )
    try:
        return Url.parse(text, f"This link's {what}")
    except InvalidInput as error:
        raise LaunchError(str(error)) from None


def origin_of(address: str) -> Origin:
    """Return the origin of an address out of a link.

    Raises
    ------
    LaunchError
        It is not a plain http or https address.
    """
    return read_address(address.strip(), "address").origin
