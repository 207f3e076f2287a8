"""Answers that are not a success: redirects, judged, and the errors that the other statuses become.

References
----------
RFC 9110 §15 (status codes).
"""

from __future__ import annotations

import http
from urllib.parse import quote

from dicomdock.errors import (
    AuthenticationError,
    InvalidInput,
    NotAcceptable,
    RemoteNotFound,
    ServerFault,
    TransactionError,
)
from dicomdock.web.auth import Auth
from dicomdock.web.call import Call, seconds_of
from dicomdock.web.digest import error_description, schemes
from dicomdock.web.endpoint import Endpoint
from dicomdock.web.response import Response
from dicomdock.web.url import Url

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_PRINTABLE = "".join(map(chr, range(128)))  # everything but what is not ASCII


def redirected(call: Call, response: Response, location: str, endpoint: Endpoint) -> Url:
    """Return where a redirect of a server leads to, judged by the parser that the connection goes by.

    Raises
    ------
    TransactionError
        To another origin, in circles, to nothing that is an address, or without what was sent.
    """
    server = endpoint.name
    facts = {"status": response.status, "url": response.url}
    try:
        # Header fields arrive as Latin-1; letters beyond ASCII stand for the bytes that they were.
        reference = quote(location.encode("latin-1", "replace"), safe=_PRINTABLE)
        url = call.request.url.join(reference, "The address")
    except InvalidInput as error:
        raise TransactionError(
            f"{call.subject} was sent on by server {server!r} to something that is not followed. {error}",
            **facts,  # type: ignore[arg-type]
        ) from None
    if url.origin != endpoint.origin:
        raise TransactionError(
            f"{call.subject} was sent on by server {server!r} to another place, {url.origin},"
            " which was not followed; if it is right, make it the server's address.",
            **facts,  # type: ignore[arg-type]
        )
    shown = url.redacted
    call.redirects += 1
    if call.redirects > MAX_REDIRECTS:
        raise TransactionError(
            f"{call.subject} was sent around in circles by server {server!r}; check its address.",
            status=response.status,
            url=shown,
        )
    if not call.safe and response.status not in (307, 308):
        raise TransactionError(
            f"{call.subject} was sent on by server {server!r} to {shown}, but not with what was sent;"
            " make that the server's address.",
            status=response.status,
            url=response.url,
        )
    return url


def error_of(
    call: Call, response: Response, endpoint: Endpoint, auth: Auth, remedy: str
) -> AuthenticationError | TransactionError:
    """Return the error that a status is, with what the server says of it.

    Parameters
    ----------
    auth : the login that was tried.
    remedy : what the user can do where the server refuses the login; the end of a sentence.
    """
    status, server = response.status, endpoint.name
    excerpt = response.excerpt()
    if status in (401, 403):
        login = auth.describe()
        challenge = response.headers.get("WWW-Authenticate", "") if status == 401 else ""
        offered = schemes(challenge)
        asks = f" (it asks for {' or '.join(offered[:5])})" if offered else ""
        said = response.redact(error_description(challenge)) or excerpt
        says = f" It says: {said[:120]}" if said else ""
        return AuthenticationError(
            f"{call.subject} was refused by server {server!r} ({status}) with the login tried: {login}"
            f"{asks}; {remedy}.{says}",
            server=endpoint.url,
            login=login,
            status=status,
        )
    words = f"{call.subject} failed: server {server!r} answered {status} {_reason(status)}"
    words += f": {excerpt[:120]}" if excerpt else "."
    kind = TransactionError
    if status in (404, 410):
        kind = RemoteNotFound
    elif status in (406, 415):
        kind = NotAcceptable
    elif status >= 500 or status in (408, 429):
        kind = ServerFault
    error = kind(words, status=status, url=response.url, body_excerpt=excerpt)
    if isinstance(error, ServerFault):
        error.retry_after = seconds_of(response.headers.get("Retry-After", ""))
    return error


def _reason(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "(no known status)"
