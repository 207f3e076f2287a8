"""Routes of the dock that are not pages: the origin servers, thumbnails, uploads, style and scripts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from dicomdock.dicom.resource import Resource
from dicomdock.dock.assets import answer_asset
from dicomdock.dock.services.open_study import OpenStudy
from dicomdock.dock.services.threads import Lazy, Run
from dicomdock.dock.services.thumbnails import Thumbnails
from dicomdock.dock.services.uploads import Uploads
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.dock.asgi import AsgiApp, Receive, Scope, Send
    from dicomdock.origin.workers import Workers


def routes(
    origin: AsgiApp, demo_origin: AsgiApp, thumbnails: Thumbnails, entrance: Entrance, uploads: Uploads
) -> Sequence[BaseRoute]:
    """Return the routes, to be matched before the pages."""
    return [
        Mount("/demo", demo_origin),
        Route("/dicom-web/{path:path}", origin),
        Route("/wado", origin),
        Route("/thumbnails/{source}/{study}/{series}", thumbnails.answer),
        Route("/open/{study}", entrance.answer),
        Route("/uploads", uploads.begin, methods=["POST"]),
        Route("/uploads/{batch}", uploads.receive, methods=["POST"]),
        Route("/favicon.ico", _no_icon),
        Route("/assets/{version}/{name}", answer_asset),
    ]


class Entrance:
    """Leads to the viewer of a study without a page in between, which would take its time.

    Parameters
    ----------
    run : does blocking work.
    open_study : opens it.
    redirected : informed where a browser came, and where it was sent from there.
    """

    def __init__(self, run: Run, open_study: OpenStudy, redirected: Callable[[str, str], None]) -> None:
        self._run = run
        self._open_study = open_study
        self._redirected = redirected

    async def answer(self, request: Request) -> Response:
        """Open the study; the browser goes on to where it is shown."""
        try:
            resource = Resource(request.path_params["study"], request.query_params.get("series"))
            target = await self._run(self._open_study.entrance, resource)
        except DicomdockError:  # no UID, or nothing that can be asked now: the page of the study says so
            target = f"/study/{quote(request.path_params['study'], safe='')}"
        self._redirected(request.url.path, target)
        return RedirectResponse(target, 303, headers={"Cache-Control": "no-store"})


async def _no_icon(_: Request) -> Response:
    # Each page brings its own icon; browsers ask for this one beside pages of other programs.
    return Response(status_code=404)


class LazyOrigin:
    """An origin server that is made when it is first asked; an idle dock need not hold pydicom in memory.

    Parameters
    ----------
    archive : returns what is published.
    decoders : decode its images.
    """

    def __init__(self, archive: Callable[[], Archive], decoders: Lazy[Workers]) -> None:
        self._archive = archive
        self._decoders = decoders
        self._app: AsgiApp | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._app
        if app is None:
            app = await asyncio.to_thread(self._get)
        # The application reads the path anew; what our route read of it would be added to that.
        await app({**scope, "path_params": {}}, receive, send)

    def _get(self) -> AsgiApp:
        from dicomdock.origin.app import routes as origin_routes

        with self._lock:
            if self._app is None:
                self._app = Router(routes=origin_routes(self._archive, workers=self._decoders.get()))
            return self._app
