"""Connections to one server: pool, proxy, TLS, and what it means when no answer comes.

This is the one place that maps urllib3's errors to ours.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.errors import DicomdockError, ProfileError, Unreachable, WireError

POOL_SIZE = 32  # idle connections kept; more may be open
FRESH = 0.5  # seconds; a body must not go down a dying connection
LATENCY = 0.1  # seconds that a server's answer, and our next request, may have been on the way
_KEPT = re.compile(r"\btimeout\s*=\s*(\d{1,9})\b", re.IGNORECASE)  # in the header Keep-Alive


class Line:
    """What the connections of one ``Http`` share.

    Parameters
    ----------
    send_timeout : seconds until a server that takes no more bytes is given up.
    addresses : IP addresses to connect to in place of what the server's name stands for by then; None to look
        the name up. TLS still demands a certificate of the name.
    """

    def __init__(self, send_timeout: float, addresses: Sequence[str] | None = None) -> None:
        self.send_timeout = send_timeout
        self.addresses = addresses
        self.this_thread = _ThisThread()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()

    def opened(self, sock: socket.socket) -> None:
        """Remember an open socket."""
        with self._lock:
            self._sockets.add(sock)

    def interrupt(self) -> None:
        """End every connection, also those that another thread waits for."""
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _ThisThread(threading.local):
    """How the request that this thread is sending wants to be sent."""

    escaped = False  # every reserved character of the query escaped, against our habit
    has_body = False


class _Habits:
    """What our connections do differently from urllib3's."""

    line: ClassVar[Line]
    answered: float = 0.0
    kept: float = math.inf  # seconds for which the server keeps it open, as far as it says

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        sock = self.sock  # type: ignore[attr-defined]
        sock.settimeout(self.line.send_timeout)  # the connect time-out would cut a slow upload
        self.line.opened(sock)

    def _new_conn(self) -> socket.socket:
        if self.line.addresses is None:
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        name = self._dns_host  # type: ignore[has-type]
        failure: HTTPError = NameResolutionError(name, self, socket.gaierror("it stood for no address"))  # type: ignore[arg-type]
        for address in self.line.addresses:
            # urllib3 looks up this name only; certificate and Host header go by the server's own.
            self._dns_host = address
            try:
                return super()._new_conn()  # type: ignore[misc,no-any-return]
            except (NewConnectionError, ConnectTimeoutError) as error:
                failure = error
            finally:
                self._dns_host = name
        raise failure

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        # urllib3 escapes ^ although servers take it, and Orthanc, which never decodes a query, needs it.
        path, mark, query = url.partition("?")
        if not self.line.this_thread.escaped:
            query = query.replace("%5E", "^")
        super().putrequest(method, path + mark + query, *args, **kwargs)  # type: ignore[misc]

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # type: ignore[attr-defined]
            self.timeout = self.line.send_timeout
        super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        response = super().getresponse()  # type: ignore[misc]
        self.answered = time.monotonic()
        if said := _KEPT.search(response.headers.get("Keep-Alive", "")):
            self.kept = int(said[1]) - LATENCY
        return response

    @property
    def is_connected(self) -> bool:
        idle = time.monotonic() - self.answered
        if idle > self.kept or (self.line.this_thread.has_body and idle > FRESH):
            return False  # Orthanc closes after 1 s, and to find that out can cost a round trip
        return bool(super().is_connected)  # type: ignore[misc]


def open_pool(profile: ServerProfile, line: Line) -> urllib3.PoolManager:
    """Make the pool of connections to a server, by its proxy and certificates.

    Raises
    ------
    ProfileError
        A certificate file or the proxy's address cannot be used.
    """
    # urllib3 logs whole addresses at this level, with tokens in their queries; we log our own, redacted.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
    options: dict[str, Any] = {"num_pools": 4, "maxsize": POOL_SIZE, "block": False}
    if profile.url.startswith("https:"):
        options["ssl_context"] = tls_context(profile)
    proxy = proxy_for(profile)
    manager: urllib3.PoolManager
    if proxy:
        line.addresses = None  # the proxy looks the name up; ours is the proxy's own
        parts = urlsplit(proxy)
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        address = proxy.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)
        fields = urllib3.make_headers(proxy_basic_auth=login) if login else None
        try:
            manager = urllib3.ProxyManager(address, proxy_headers=fields, **options)
        except (HTTPError, ValueError) as error:
            raise ProfileError(
                f"The proxy {address!r} of server {profile.name!r} is not an http:// address."
            ) from error
    else:
        manager = urllib3.PoolManager(**options)
    plain = type("HTTPConnection", (_Habits, HTTPConnection), {"line": line})
    secure = type("HTTPSConnection", (_Habits, HTTPSConnection), {"line": line})
    manager.pool_classes_by_scheme = {
        "http": type("HTTPConnectionPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("HTTPSConnectionPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }
    return manager


def proxy_for(profile: ServerProfile) -> str:
    """Give the profile's proxy, else the environment's; none for this machine itself."""
    if profile.proxy:
        return profile.proxy
    parts = urlsplit(profile.url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or urllib.request.proxy_bypass(host):
        return ""
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all") or ""


def tls_context(profile: ServerProfile) -> ssl.SSLContext:
    """Make what a connection to the server is encrypted by: whom to trust, and whom to show ourselves as.

    Raises
    ------
    ProfileError
        A certificate file cannot be used.
    """
    context = ssl.create_default_context()
    file = profile.ca_file
    try:
        if file:
            context.load_verify_locations(cafile=os.path.expanduser(file))  # noqa: PTH111
        if file := profile.client_certificate:
            key = os.path.expanduser(profile.client_key) if profile.client_key else None  # noqa: PTH111
            context.load_cert_chain(os.path.expanduser(file), key, password=_no_password)  # noqa: PTH111
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ProfileError(
            f"The certificate file {file} of server {profile.name!r} cannot be used: {error}."
        ) from error
    return context


def _no_password() -> str:
    """Stand in for OpenSSL's prompt on the terminal."""
    raise ValueError("its key is protected by a password")


class NoAnswer(Exception):
    """A request that brought no answer.

    Parameters
    ----------
    error : what the caller will see.
    again : ``never``; ``connect`` (no byte was sent); ``dropped`` (the connection ended before the answer).
    """

    def __init__(self, error: DicomdockError, again: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again


def no_answer(
    error: HTTPError | OSError, profile: ServerProfile, settings: Settings, url: str, *, half_sent: bool
) -> NoAnswer:
    """Say in words why no answer came."""
    host = urlsplit(profile.url).netloc.rpartition("@")[2]
    again = "never"
    if isinstance(error, ProxyError):
        words = f"The proxy on the way to {host} did not let us through ({_cause(error)}); check its address."
    elif isinstance(error, NameResolutionError):
        words = f"No machine is known by the name of {host}; check the spelling and the network connection."
    elif isinstance(error, NewConnectionError):  # a ConnectTimeoutError too, in urllib3
        again = "connect"
        words = f"{host} refused the connection ({_cause(error)}); check that it runs and the port is right."
    elif isinstance(error, ConnectTimeoutError):
        again = "connect"
        words = f"{host} did not answer within {settings.connect_timeout:g} s; check host, port and firewall."
    elif isinstance(error, (SSLError, ssl.SSLError)):
        words = _tls_words(host, error)
    elif isinstance(error, (ReadTimeoutError, TimeoutError)):
        words = f"{host} took the request but sent nothing for {settings.read_timeout:g} s; try again later."
    else:
        again = "dropped"
        advice = (
            "part of what was sent may be stored: look before sending it again" if half_sent else "try again"
        )
        words = f"{host} closed the connection without an answer ({_cause(error)}); {advice}."
    return NoAnswer(Unreachable(words, url=url), again)


def broken(error: HTTPError, url: str) -> DicomdockError:
    """Say in words why an answer broke off in its middle."""
    if isinstance(error, ReadTimeoutError):
        return Unreachable(f"{url} stopped sending in the middle of its answer; try again.", url=url)
    if isinstance(error, (ProtocolError, IncompleteRead)):
        return WireError(f"The answer of {url} ended before it was complete ({_cause(error)}); ask again.")
    return Unreachable(
        f"The connection to {url} failed in the middle of the answer ({_cause(error)}).", url=url
    )


def _tls_words(host: str, error: Exception) -> str:
    cause = _cause(error)
    lowered = cause.lower()
    if "certificate" in lowered and ("verify" in lowered or "match" in lowered):
        return (
            f"The certificate of {host} is not trusted ({cause}); if you trust it, name its"
            " authority's PEM file as ca_file of the server."
        )
    if "wrong version" in lowered or "record layer" in lowered or "http_request" in lowered:
        return f"{host} does not speak TLS on this port; is its address http:// instead of https://?"
    return f"A safe connection (TLS) to {host} failed: {cause}."


def _cause(error: BaseException) -> str:
    """Give the innermost reason, short."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or _first_exception(inner)) is not None:
        inner = deeper
    text = getattr(inner, "strerror", None) or getattr(inner, "verify_message", None) or str(inner)
    return str(text).removeprefix("[SSL] ")[:200] or type(inner).__name__


def _first_exception(error: BaseException) -> BaseException | None:
    return next((item for item in error.args if isinstance(item, BaseException) and item is not error), None)
