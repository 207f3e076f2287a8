"""Http: requests to one server over pooled connections; retries, redirects, login and errors in one place.

References
----------
RFC 9110 (HTTP semantics); RFC 3986 §3.4 (query); PS3.18 §8 (common aspects of the transactions).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError

from dicomdock.errors import (
    Cancelled,
    InvalidInput,
)
from dicomdock.web import pool
from dicomdock.web.auth import Auth
from dicomdock.web.call import Call
from dicomdock.web.cookies import Cookies
from dicomdock.web.endpoint import Endpoint
from dicomdock.web.hold import Hold
from dicomdock.web.options import ConnectionOptions
from dicomdock.web.redaction import Redactor
from dicomdock.web.request import Body, Request, check_fields
from dicomdock.web.response import Response as Response
from dicomdock.web.statuses import REDIRECTS, error_of, redirected
from dicomdock.web.url import Url, redact

log = logging.getLogger("dicomdock.http")

CHECK_LOGIN = "check user, password or token, and what this login may do"
MIN_SECRET = 6  # characters of a cookie that is hidden in errors; shorter ones are counters and flags

# RFC 3986 §3.4 without what separates pairs (& ; +) and with ^, because Orthanc does not decode query values.
_QUERY_SAFE = "!$'()*,/:=?@^-._~"


class Encoded(str):
    """The value of a query parameter that is percent-encoded already, and sent as it is."""

    __slots__ = ()


def encode_query_value(value: str) -> str:
    """Return a value, escaped as little as RFC 3986 allows."""
    if isinstance(value, Encoded):
        return value
    return quote(value, safe=_QUERY_SAFE, errors="surrogatepass")  # half a pair is for the server to refuse


def encode_query(query: Sequence[tuple[str, str]]) -> str:
    """Write query parameters, escaping as little as RFC 3986 allows; ``^`` stays as it is.

    Blanks become ``%20``, never ``+``.
    """
    return "&".join(f"{quote(name, safe=_QUERY_SAFE)}={encode_query_value(value)}" for name, value in query)


class Requests(Protocol):
    """What sends requests to one server: `Http`, or one that counts them."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        accept: str = "*/*",
        body: Body | None = None,
        gzip: bool = False,
        allow: Container[int] = (),
        what: str = "",
        secrets: Sequence[str] = (),
        retries: int | None = None,
        after: float = 0.0,
    ) -> Response:
        """Send a request and return the answer, its body unread; see `Http.request`."""
        ...

    def wait_when_asked(self) -> None:
        """Let all requests from now on wait where the server answers one with Retry-After."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Http:
    """Requests to one server. All methods may be called from many threads at once.

    Parameters
    ----------
    endpoint : the server; nothing is ever sent to another origin.
    auth : its login.
    options : time-outs and the number of retries.
    addresses : IP addresses to connect to, where the server's name was looked up and judged before; None to
        look it up at each connection. Behind a proxy, the proxy looks it up.
    remedy : what the user can do where the server refuses the login; the end of a sentence.
    hold : lets all requests wait where the server answers one of them with Retry-After, for as long as the
        hold is patient; without it each waits for itself, for a number of tries.

    Raises
    ------
    InvalidInput
        The endpoint's address is not one.
    ProfileError
        A certificate file or the proxy's address cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        auth: Auth,
        options: ConnectionOptions,
        *,
        addresses: Sequence[str] | None = None,
        remedy: str = CHECK_LOGIN,
        hold: Hold | None = None,
    ) -> None:
        self._hold = hold
        self._endpoint = endpoint
        self._remedy = remedy
        self._auth = auth
        self._options = options
        self._line = pool.Line(options.read_timeout, addresses)
        self._connections = pool.Connections(endpoint, self._line)
        self._timeout = urllib3.Timeout(connect=options.connect_timeout, read=options.read_timeout)
        self._refreshing = threading.Lock()
        self._stopped = threading.Event()
        self._escape_query = False
        self._cookies = Cookies()
        proxy = pool.proxy_for(endpoint)
        self._proxy_secrets = () if proxy is None else proxy.secrets
        self._redactor: tuple[tuple[str, ...], Redactor] = (), Redactor()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        accept: str = "*/*",
        body: Body | None = None,
        gzip: bool = False,
        allow: Container[int] = (),
        what: str = "",
        secrets: Sequence[str] = (),
        retries: int | None = None,
        after: float = 0.0,
    ) -> Response:
        """Send a request and return the answer, its body unread.

        A GET is repeated after 408, 429, 500 (once), 502-504 and a lost connection, with back-off and as
        Retry-After says. A request with a body is repeated only when none of it can have been processed:
        after a connection that could not be made, 429 and 503. Redirects within the origin are followed.

        Parameters
        ----------
        path : percent-encoded path below the endpoint's address; or a whole address of the same origin.
        query : parameters, unescaped.
        accept : the Accept header.
        gzip : let the server compress; for text, not for pixels.
        allow : statuses that are returned instead of raised.
        what : what is being done, in words for the error: ``the search for studies``.
        secrets : what of the request, beside its login, no error may repeat.
        retries : further tries at most after these statuses, also where a hold is patient; None for as many
            as usual.
        after : seconds to wait first.

        Raises
        ------
        AuthenticationError
            401 or 403, after the login was renewed where it can be.
        RemoteNotFound, NotAcceptable, ServerFault, TransactionError
            The server answered otherwise than with success.
        Unreachable
            No answer came.
        Cancelled
            ``close`` was called meanwhile.
        InvalidInput
            The address belongs to another origin.
        """
        fields = {
            "Accept": accept,
            "Accept-Encoding": "gzip" if gzip else "identity",
            "User-Agent": "dicomdock",
        }
        fields.update(headers or {})
        if body is not None:
            fields["Content-Type"] = body.content_type
            if body.length is not None:
                fields["Content-Length"] = str(body.length)
        request = Request(method, self._address(path, query), fields, body, tuple(secrets))
        call = Call(request, what or f"{method} {path}", self._escape_query, retries)
        if after:
            self._pause(after)
        while True:
            if self._hold is not None and (held := self._hold.seconds):
                self._pause(held)
            sent = self._auth.authorize(self._with_cookies(call.request))
            try:
                response = self._send(call, sent)
            except pool.NoAnswer as failure:
                wait = call.wait_after_failure(failure.again, self._options.retries)
                if wait is None:
                    raise failure.error from failure.__cause__
                self._pause(wait)
                continue
            try:
                if self._final(call, response, sent, allow):
                    return response
            except BaseException as error:
                response.__exit__(type(error), error, None)
                raise

    def wait_when_asked(self) -> None:
        """Let all requests from now on wait as with a hold; one that was given stays."""
        self._hold = self._hold or Hold()

    def close(self) -> None:
        """End all connections; requests and answers on their way in other threads raise Cancelled."""
        self._stopped.set()
        self._line.interrupt()
        self._connections.close()

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _address(self, path: str, query: Sequence[tuple[str, str]]) -> Url:
        base = self._endpoint.base
        if "://" in path[:10]:
            refused = f"{redact(path)} is not at {base.origin}; nothing was sent there."
            try:
                url = Url.parse(path)
            except InvalidInput as error:
                raise InvalidInput(f"{refused} {error}") from None
            if url.origin != base.origin:
                raise InvalidInput(refused)
        else:
            below, mark, rest = path.partition("?")
            url = Url(base.origin, base.path.rstrip("/") + below, rest if mark else None)
        if not query:
            return url
        return replace(url, query="&".join(filter(None, (url.query, encode_query(query)))))

    def _send(self, call: Call, request: Request) -> Response:
        """Send once."""
        if self._stopped.is_set():
            raise Cancelled("The connection was closed.")
        check_fields(request.headers)
        redactor = self._redactor_of(request)
        shown = redactor.redact(request.url.redacted)
        started = time.monotonic()
        thread = self._line.this_thread
        thread.escaped, thread.has_body = call.escaped, request.body is not None
        try:
            raw = self._connections.send(
                request.method,
                request.url.target,
                headers=request.headers,
                body=call.sending(),
                timeout=self._timeout,
            )
        except (HTTPError, OSError) as error:
            if self._stopped.is_set():
                raise Cancelled("The connection was closed.") from error
            redactor.redact_error(error)
            failure = pool.no_answer(error, self._endpoint, self._options, shown, half_sent=call.begun)
            log.debug("%s %s failed after %.0f ms: %s", request.method, shown, _ms(started), failure)
            raise failure from error
        log.debug("%s %s -> %d in %.0f ms", request.method, shown, raw.status, _ms(started))
        self._cookies.store(request.url, raw.headers.getlist("Set-Cookie"))
        return Response(raw, shown, self._stopped, redactor)

    def _redactor_of(self, request: Request) -> Redactor:
        """Return the redactor of a request: that of the last one where the secrets are the same.

        What a secret may look like is worked out once then, not for every request.
        """
        secrets = (*request.secrets, *self._proxy_secrets)
        known, redactor = self._redactor
        if secrets != known:
            redactor = Redactor(secrets)
            self._redactor = secrets, redactor
        return redactor

    def _final(self, call: Call, response: Response, sent: Request, allow: Container[int]) -> bool:
        """Return whether this answer is the one to return; False to ask again, as prepared in ``call``."""
        status, asked = response.status, response.headers.get("Retry-After", "")
        if self._hold is not None and not asked:
            self._hold.answered()
        if status == 400 and call.may_escape():
            # A server that refuses a raw ^ (RFC 3986 is on its side); if escaping helps, it goes on for all.
            response.discard()
            call.escaped = True
            return False
        if 200 <= status < 300:
            self._escape_query = self._escape_query or call.escaped
            return True
        if status in allow:
            return True
        if status in REDIRECTS and (location := response.headers.get("Location")):
            call.request = replace(call.request, url=redirected(call, response, location, self._endpoint))
            response.discard()
            return False
        if status == 401 and not call.refreshed:
            call.refreshed = True
            if self._refresh(call, sent, response.headers.get("WWW-Authenticate", "")):
                response.discard()
                return False
        patient = self._hold is not None and self._hold.patient
        wait = call.wait_after_status(status, asked, self._options.retries, patient=patient)
        if wait is None:
            raise error_of(call, response, self._endpoint, self._auth, self._remedy)
        response.discard()
        if self._hold is not None and asked:
            self._hold.ask(wait)
        self._pause(wait)
        return False

    def _refresh(self, call: Call, used: Request, challenge: str) -> bool:
        """Answer a challenge, renew the login, or find that another thread has done so meanwhile."""
        with self._refreshing:
            if self._auth.challenged(challenge):
                return True
            again = self._auth.authorize(self._with_cookies(call.request))
            return again.headers.get("Authorization") != used.headers.get("Authorization") or (
                self._auth.refresh()
            )

    def _with_cookies(self, request: Request) -> Request:
        """Return the request with the cookies that the server has set; values of the user's own stay."""
        header, values = self._cookies.header(request.url)
        if not header or "Cookie" in request.headers:
            return request
        secret = tuple(value for value in values if len(value) >= MIN_SECRET)
        return request.with_headers({"Cookie": header}, secrets=secret)

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Cancelled("The connection was closed.")


def _ms(started: float) -> float:
    return (time.monotonic() - started) * 1000
