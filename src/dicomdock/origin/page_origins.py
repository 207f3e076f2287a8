"""Which web pages may change something here: a browser sends much for any page, without asking the server.

References
----------
Fetch Standard: the Origin header, and requests that need no preflight; RFC 6455 §10.2 (WebSockets).
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from dicomdock.origin.responses import sentence

_READING = ("GET", "HEAD", "OPTIONS")


class PageOrigins:
    """Refuses what pages of other sites send to change something, and their event channels.

    Reading is not refused: a browser does not let such a page see the answer.

    Parameters
    ----------
    pages : origins whose web pages may, besides the server's own; ``*`` for all.
    """

    def __init__(self, app: ASGIApp, pages: Sequence[str]) -> None:
        self._app = app
        self._pages = frozenset(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        changes = scope["type"] == "websocket" or (
            scope["type"] == "http" and scope["method"] not in _READING
        )
        if changes and not self._is_allowed(HTTPConnection(scope)):
            refusal = sentence("Pages of other sites may change nothing here, nor listen.", 403)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, connection: HTTPConnection) -> bool:
        origins = connection.headers.getlist("origin")
        if not origins:  # no web page
            return True
        if len(origins) > 1:
            return False
        place = urlsplit(origins[0]).netloc
        own = bool(place) and place == connection.headers.get("host", "")
        return own or origins[0] in self._pages or "*" in self._pages
