"""Connections to one server: pool, proxy, and what it means when no answer comes.

This is the one place that maps urllib3's errors to ours.
"""

from __future__ import annotations

import logging
import math
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar
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

from dicomdock.errors import DicomdockError, ProfileError, Unreachable, WireError
from dicomdock.web import tls
from dicomdock.web.endpoint import Endpoint, Proxy
from dicomdock.web.options import ConnectionOptions

POOL_SIZE = 32  # idle connections; more may be open
FRESH = 0.5  # seconds; a body must not go down a dying connection
LATENCY = 0.1  # seconds that a server's answer, and our next request, may have been on the way
_KEEP_ALIVE = re.compile(r"\btimeout\s*=\s*(\d{1,9})\b", re.IGNORECASE)  # in the header Keep-Alive


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


class _Behavior:
    """What our connections do differently from urllib3's."""

    line: ClassVar[Line]
    answered: float = 0.0
    keep_alive: float = math.inf  # seconds for which the server keeps it open, as far as it says

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
        if stated := _KEEP_ALIVE.search(response.headers.get("Keep-Alive", "")):
            self.keep_alive = int(stated[1]) - LATENCY
        return response

    @property
    def is_connected(self) -> bool:
        idle = time.monotonic() - self.answered
        if idle > self.keep_alive or (self.line.this_thread.has_body and idle > FRESH):
            return False  # Orthanc closes after 1 s, and to find that out can cost a round trip
        return bool(super().is_connected)  # type: ignore[misc]


class Connections:
    """The connections to one endpoint. They lead to its origin, or to its proxy, whatever is asked on them.

    Parameters
    ----------
    endpoint : where to.
    line : what the connections share.

    Raises
    ------
    ProfileError
        A certificate file or the proxy's address cannot be used.
    InvalidInput
        The endpoint's address is not one.
    """

    def __init__(self, endpoint: Endpoint, line: Line) -> None:
        origin = endpoint.origin
        self._manager = open_manager(endpoint, line)
        self._pool = self._manager.connection_from_host(origin.bracketed_host, origin.port, origin.scheme)
        self._prefix, self._fields = "", {}
        if isinstance(self._manager, urllib3.ProxyManager) and not origin.is_encrypted:
            self._prefix, self._fields = origin.short, {"Host": origin.netloc}

    def send(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: Iterator[bytes] | None,
        timeout: urllib3.Timeout,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the answer, its body unread; nothing is repeated or followed."""
        return self._pool.urlopen(
            method,
            self._prefix + target,
            headers={**self._fields, **headers},
            body=body,
            retries=False,
            redirect=False,
            assert_same_host=False,  # the pool's host is the only one that there is
            timeout=timeout,
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        """Close what is idle."""
        self._manager.clear()


def open_manager(endpoint: Endpoint, line: Line) -> urllib3.PoolManager:
    """Return connections to any host by an endpoint's proxy and certificates, for libraries that want that.

    Raises
    ------
    ProfileError
        A certificate file or the proxy's address cannot be used.
    """
    # urllib3 logs whole addresses, with tokens in their queries, and header fields that it could not read,
    # which may repeat a login; we log our own, redacted.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"num_pools": 4, "maxsize": POOL_SIZE, "block": False}
    if endpoint.origin.is_encrypted:
        options["ssl_context"] = tls.context(endpoint)
    manager: urllib3.PoolManager
    if (proxy := proxy_for(endpoint)) is not None:
        line.addresses = None  # the proxy looks the name up; ours is the proxy's own
        login = f"{proxy.user}:{proxy.password}" if proxy.user or proxy.password else None
        fields = urllib3.make_headers(proxy_basic_auth=login) if login else None
        try:
            manager = urllib3.ProxyManager(proxy.url, proxy_headers=fields, **options)
        except (HTTPError, ValueError) as error:
            raise ProfileError(
                f"The proxy {proxy.url!r} of server {endpoint.name!r} is not an http:// address."
            ) from error
    else:
        manager = urllib3.PoolManager(**options)
    plain = type("HTTPConnection", (_Behavior, HTTPConnection), {"line": line})
    secure = type("HTTPSConnection", (_Behavior, HTTPSConnection), {"line": line})
    manager.pool_classes_by_scheme = {
        "http": type("HTTPConnectionPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("HTTPSConnectionPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }
    return manager


def proxy_for(endpoint: Endpoint) -> Proxy | None:
    """Return the endpoint's proxy, else the environment's; none for this machine itself."""
    if endpoint.proxy is not None:
        return endpoint.proxy
    origin = endpoint.origin
    if origin.is_loopback or urllib.request.proxy_bypass(origin.host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(origin.scheme) or proxies.get("all") or ""
    return Proxy.parse(found) if found else None


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
    error: HTTPError | OSError, endpoint: Endpoint, options: ConnectionOptions, url: str, *, half_sent: bool
) -> NoAnswer:
    """Return in words why no answer came."""
    host = endpoint.origin.netloc
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
        words = f"{host} did not answer within {options.connect_timeout:g} s; check host, port and firewall."
    elif isinstance(error, (SSLError, ssl.SSLError)):
        words = _tls_words(host, error)
    elif isinstance(error, (ReadTimeoutError, TimeoutError)):
        words = f"{host} took the request but sent nothing for {options.read_timeout:g} s; try again later."
    else:
        again = "dropped"
        advice = (
            "part of what was sent may be stored: look before sending it again" if half_sent else "try again"
        )
        words = f"{host} closed the connection without an answer ({_cause(error)}); {advice}."
    return NoAnswer(Unreachable(words, url=url), again)


def broken(error: HTTPError, url: str) -> DicomdockError:
    """Return in words why an answer broke off in its middle."""
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
    """Return the innermost reason, short."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or _first_exception(inner)) is not None:
        inner = deeper
    text = getattr(inner, "strerror", None) or getattr(inner, "verify_message", None) or str(inner)
    return str(text).removeprefix("[SSL] ")[:200] or type(inner).__name__


def _first_exception(error: BaseException) -> BaseException | None:
    return next((item for item in error.args if isinstance(item, BaseException) and item is not error), None)
