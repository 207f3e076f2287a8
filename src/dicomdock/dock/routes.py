"""Routes of the dock that are no pages: the origin servers, thumbnails, style and scripts."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from dicomdock.dicom.resource import Resource
from dicomdock.dock.service import Dock
from dicomdock.dock.services import open_study
from dicomdock.dock.services.thumbnails import Thumbnails
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from dicomdock.dock.security.guard import AsgiApp, Receive, Scope, Send

_ASSETS = {"theme.css": "text/css", "dock.js": "text/javascript", "drop.js": "text/javascript"}
FOREVER = "private, max-age=31536000, immutable"


def asset(name: str) -> str:
    """Give the address of a style sheet or script of ours; it changes with the content."""
    return f"/assets/{hashlib.sha256(_asset(name)).hexdigest()[:12]}/{name}"


def _asset(name: str) -> bytes:
    return (resources.files("dicomdock.dock") / "static" / name).read_bytes()


def routes(dock: Dock) -> Sequence[BaseRoute]:
    """Give the routes, to be matched before the pages."""
    thumbnails = Thumbnails(dock)
    return [
        Mount("/demo", _Later(lambda: _demo_origin(dock))),
        Route("/dicom-web/{path:path}", _Later(lambda: _origin(dock))),
        Route("/wado", _Later(lambda: _origin(dock))),
        Route("/thumbnails/{source}/{study}/{series}", thumbnails.answer),
        Route("/open/{study}", _Entrance(dock).answer),
        Route("/uploads", dock.uploads.begin, methods=["POST"]),
        Route("/uploads/{batch}", dock.uploads.receive, methods=["POST"]),
        Route("/favicon.ico", _no_picture),
        Route("/assets/{version}/{name}", _answer_asset),
    ]


async def _answer_asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        return Response("There is no such file.", status_code=404, media_type="text/plain")
    return Response(_asset(name), media_type=_ASSETS[name], headers={"Cache-Control": FOREVER})


class _Entrance:
    """Leads to the viewer of a study without a page in between, which would take its time."""

    def __init__(self, dock: Dock) -> None:
        self._dock = dock

    async def answer(self, request: Request) -> Response:
        """Open the study; the browser goes on to where it is shown."""
        try:
            resource = Resource(request.path_params["study"], request.query_params.get("series"))
            place = await self._dock.run(open_study.entrance, self._dock, resource)
        except DicomdockError:  # no UID, or nothing that can be asked now: the page of the study says so
            place = f"/study/{quote(request.path_params['study'], safe='')}"
        self._dock.lead_on(request.url.path, place)
        return RedirectResponse(place, 303, headers={"Cache-Control": "no-store"})


async def _no_picture(_: Request) -> Response:
    # Each page brings its own picture; browsers ask for this one beside pages that are none of ours.
    return Response(status_code=404)


class _Later:
    """An application that is made when it is first asked; an idle dock need not hold pydicom in memory."""

    def __init__(self, make: Callable[[], AsgiApp]) -> None:
        self._make = make
        self._made: AsgiApp | None = None
        self._lock = threading.Lock()

    def _get(self) -> AsgiApp:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._made
        if app is None:
            app = await asyncio.to_thread(self._get)
        # The application reads the path anew; what our route read of it would be added to that.
        await app({**scope, "path_params": {}}, receive, send)


def _origin(dock: Dock) -> AsgiApp:
    from dicomdock.origin.app import routes as origin_routes

    return Router(routes=origin_routes(lambda: dock.archive, workers=dock.decoders))


def _demo_origin(dock: Dock) -> AsgiApp:
    from dicomdock.origin.app import routes as origin_routes

    return Router(routes=origin_routes(lambda: dock.demo_archive, workers=dock.decoders))
