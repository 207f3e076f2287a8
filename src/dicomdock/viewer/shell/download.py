"""Files that the viewer makes, offered by the browser to be saved."""

from __future__ import annotations

from base64 import b64encode
from typing import Any


def offer(server: Any, name: str, content: bytes, media_type: str) -> None:
    """Let the browser save a file under a name; it asks where, as it is set to."""
    server.js_call("page", "save", name, b64encode(content).decode(), media_type)
