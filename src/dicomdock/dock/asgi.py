"""Types of ASGI, and short answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


async def reply(send: Send, status: int, content_type: str, body: bytes, extra: Headers = ()) -> None:
    """Answer with a whole body."""
    headers = [(b"content-type", content_type.encode()), *extra]
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, status: int, reason: str, extra: Headers = ()) -> None:
    """Answer with an error, a sentence in JSON."""
    await reply(send, status, "application/json", json.dumps({"error": reason}).encode(), extra)
