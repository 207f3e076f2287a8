"""HTTP connections of uvicorn that are taken from this user's programs alone."""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from dicomdock.web.peers import is_foreign


class OwnConnections(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen at run time
    """Closes a connection from another user of this machine before anything is read from it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or close it."""
        super().connection_made(transport)
        if is_foreign(transport):
            cast(asyncio.Transport, transport).abort()

    def data_received(self, data: bytes) -> None:
        """Read a request, unless the connection is being closed."""
        if not cast(asyncio.Transport, self.transport).is_closing():
            super().data_received(data)
