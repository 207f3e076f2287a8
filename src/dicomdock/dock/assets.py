"""Style sheets and scripts of the pages, at addresses that change with their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

_TYPES: Mapping[str, str] = {
    "theme.css": "text/css",
    "dock.js": "text/javascript",
    "drop.js": "text/javascript",
}
FOREVER = "private, max-age=31536000, immutable"


def asset(name: str) -> str:
    """Return the address of a style sheet or script."""
    return f"/assets/{hashlib.sha256(_read(name)).hexdigest()[:12]}/{name}"


async def answer_asset(request: Request) -> Response:
    """Answer ``/assets/VERSION/NAME``."""
    name = request.path_params["name"]
    if name not in _TYPES:
        return Response("There is no such file.", status_code=404, media_type="text/plain")
    return Response(_read(name), media_type=_TYPES[name], headers={"Cache-Control": FOREVER})


def _read(name: str) -> bytes:
    return (resources.files("dicomdock.dock") / "static" / name).read_bytes()
