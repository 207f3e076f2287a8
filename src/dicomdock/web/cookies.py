"""Cookies: what a server's load balancer or gateway sets for a session, and what a browser sends to us.

References
----------
RFC 6265 §5.2 (Set-Cookie), §5.4 (the Cookie header); RFC 6265bis §4.1.3 (prefixes of names).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from dicomdock.web.url import Url

MAX_COOKIES: Final = 50  # of one server (RFC 6265 §6.1)
MAX_LENGTH: Final = 4096  # characters of a cookie


@dataclass(frozen=True)
class _Cookie:
    value: str
    path: str
    secure: bool


def cookie_values(header: str, name: str) -> Iterator[str]:
    """Yield the values of all cookies of a name in a ``Cookie`` header.

    Browsers send the cookies of a host to each of its ports, the older and more specific ones first: there
    may be several of one name, and none of the others may hide ours.
    """
    for pair in header.split(";"):
        found, _, value = pair.strip(" \t").partition("=")
        if found == name:
            yield value


class Cookies:
    """The cookies of one origin, in memory only. Safe to use from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cookies: dict[tuple[str, str], _Cookie] = {}

    def store(self, url: Url, headers: Iterable[str]) -> None:
        """Store what an answer sets; what is expired, too long or of another host is passed over."""
        for header in headers:
            pair, *attributes = header.split(";")
            name, equals, value = (part.strip() for part in pair.partition("="))
            if not name or not equals or len(pair) > MAX_LENGTH or not pair.isprintable():
                continue
            known = {}
            for attribute in attributes:
                key, _, text = attribute.partition("=")
                known[key.strip().lower()] = text.strip()
            domain = known.get("domain", "").lstrip(".").lower()
            if domain and not f".{url.origin.host}".endswith(f".{domain}"):
                continue
            path = known.get("path", "")
            path = path if path.startswith("/") else url.path.rpartition("/")[0] or "/"
            if not _keeps_its_prefix(name, known, path):
                continue
            with self._lock:
                self._cookies.pop((name, path), None)
                if not _is_expired(known) and len(self._cookies) < MAX_COOKIES:
                    self._cookies[name, path] = _Cookie(value, path, "secure" in known)

    def header(self, url: Url) -> tuple[str, tuple[str, ...]]:
        """Return the Cookie header of a request, and its values, which are secret; both empty for none."""
        with self._lock:
            sent = {
                name: cookie.value
                for (name, _), cookie in sorted(self._cookies.items(), key=lambda item: len(item[1].path))
                if _matches(cookie.path, url.path) and (not cookie.secure or _is_safe(url))
            }
        return "; ".join(f"{name}={value}" for name, value in sent.items()), tuple(sent.values())


def _matches(cookie_path: str, path: str) -> bool:
    return cookie_path == "/" or path == cookie_path or path.startswith(cookie_path.rstrip("/") + "/")


def _is_safe(url: Url) -> bool:
    """Return whether nobody can listen: TLS, or this machine, as browsers have it."""
    return url.origin.scheme == "https" or url.origin.is_loopback


def _keeps_its_prefix(name: str, attributes: dict[str, str], path: str) -> bool:
    """Return whether a cookie is what its name says (RFC 6265bis §4.1.3)."""
    prefix = name.lower()
    if prefix.startswith("__host-"):
        return "secure" in attributes and not attributes.get("domain") and path == "/"
    return not prefix.startswith("__secure-") or "secure" in attributes


def _is_expired(attributes: dict[str, str]) -> bool:
    age = attributes.get("max-age", "")
    if re.fullmatch(r"-?\d{1,18}", age, re.ASCII):  # anything else is passed over
        return int(age) <= 0
    if expires := attributes.get("expires"):
        try:
            return parsedate_to_datetime(expires).timestamp() <= time.time()
        except (ValueError, OverflowError):
            return False
    return False
