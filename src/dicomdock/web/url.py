"""Web addresses out of links: checked, and brought into the one form that origins are compared in.

References
----------
WHATWG URL Standard (host parsing); RFC 6454 (origins).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from dicomdock.errors import LaunchError

MAX_ADDRESS = 2048  # characters
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\Z")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\Z")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\s\\<>\"^`{|}]")


def check_address(text: str, what: str = "address") -> str:
    """Give a DICOMweb base URL in its one form: lower case, punycode, no default port, no last slash.

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
    text = text.strip()
    if len(text) > MAX_ADDRESS:
        raise LaunchError(f"This link's {what} is longer than {MAX_ADDRESS} characters.")
    parts = split_address(text, what)
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise LaunchError(f"This link's {what} has a query or fragment; a DICOMweb address has neither.")
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in parts.path.split("/")):
        raise LaunchError(f"This link's {what} has '.' or '..' in its path; dicomdock does not open it.")
    return _origin(parts, what, always_port=False) + parts.path.rstrip("/")


def split_address(text: str, what: str) -> SplitResult:
    """Split an http or https address; refuse what browsers and libraries read differently."""
    if _UNSAFE.search(text):
        raise LaunchError(
            f"This link's {what} holds blanks, backslashes or quotes; dicomdock does not open it."
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise LaunchError(f"This link's {what} is not a web address.") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise LaunchError(f"This link's {what} is not an https address; no other kind is followed.")
    if "@" in parts.netloc:
        raise LaunchError(f"This link's {what} holds a user name or password; dicomdock does not open it.")
    _origin(parts, what, always_port=False)
    return parts


def origin_of(url: str) -> str:
    """Give scheme, host and port of an address, the port always named: what trust and logins are bound to.

    Raises
    ------
    LaunchError
        It is not a plain http or https address.
    """
    return _origin(split_address(url.strip(), "address"), "address", always_port=True)


def _origin(parts: SplitResult, what: str, *, always_port: bool) -> str:
    host = check_host(parts.hostname or "", what)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise LaunchError(f"This link's {what} has a port that is none; ports are 1 to 65535.")
    default = DEFAULT_PORTS[parts.scheme]
    if port == default and not always_port:
        port = None
    elif port is None and always_port:
        port = default
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def check_host(host: str, what: str) -> str:
    """Give the host as punycode in lower case, IPv6 in brackets.

    Raises
    ------
    LaunchError
        It is not a host name; or an IPv4 address that is not written as four decimal numbers (``2130706433``,
        ``0x7f.1``, ``0177.0.0.1``), which no honest page does.
    """
    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host if '%' not in host else '')}]"
        except ValueError:
            raise LaunchError(f"This link's {what} has a host that is not an IPv6 address.") from None
    try:
        # Full-width digits and dots become plain ones here, so the checks below see what a connection would
        # use.
        name = host.encode("idna").decode("ascii").lower() if not host.isascii() else host.lower()
    except UnicodeError:
        name = ""
    name = name.removesuffix(".")
    if len(name) > 253 or not _HOST.match(name) or ".." in name:
        raise LaunchError(f"This link's {what} has no proper host name.")
    if _NUMBER.match(name.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise LaunchError(
                f"This link's {what} writes an IP address in an unusual way; dicomdock does not open it."
            ) from None
    return name
