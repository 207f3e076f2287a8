"""Thumbnails of series for the page: rendered beside the event loop, one at a time, and cached on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError
from dicomdock.origin.thumbnails import ThumbnailCache, thumbnail_here

ROUTE = "/thumbnails/{study}/{series}"
LOCAL = "local"  # the dock's name for the archive: both share the cache
AGAIN = "private, max-age=60"  # a series that has nothing to show yet may have it soon
STORED = "private, max-age=86400"


class Thumbnails:
    """Answers ``/thumbnails/STUDY/SERIES`` from the archive; 404 where there is nothing to show.

    Parameters
    ----------
    server : trame's.
    archive, settings : where the images are, and where thumbnails are cached.
    """

    def __init__(self, server: Any, archive: Archive, settings: Settings) -> None:
        self._archive, self._cache = archive, ThumbnailCache(Path(settings.state) / "thumbnails")
        self._one = asyncio.Semaphore(1)  # the views come first
        server.controller.on_server_bind.add(lambda bound: bound.app.router.add_get(ROUTE, self._answer))

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            resource = Resource(request.match_info["study"], request.match_info["series"])
            async with self._one:
                media_type, picture = await asyncio.to_thread(self._thumbnail, resource)
        except DicomdockError:
            return web.Response(status=404, headers={"Cache-Control": AGAIN})
        return web.Response(body=picture, content_type=media_type, headers={"Cache-Control": STORED})

    def _thumbnail(self, resource: Resource) -> tuple[str, bytes]:
        return self._cache.get(LOCAL, resource, lambda: thumbnail_here(self._archive, resource))


def thumbnail_address(resource: Resource) -> str:
    """Return the address of a series' thumbnail on the viewer's page."""
    return f"/thumbnails/{quote(resource.study, safe='')}/{quote(resource.series or '', safe='')}"
