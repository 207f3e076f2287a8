"""Look-up of host names; apart from ``url``, which does no I/O."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

Resolve = Callable[[str, int], Iterable[str]]
"""Returns the IP addresses of a host and port; OSError when the name is not known."""


def system_resolve(host: str, port: int) -> list[str]:
    """Look a name up as this system does."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
