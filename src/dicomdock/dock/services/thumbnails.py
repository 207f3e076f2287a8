"""Thumbnails: a small image of a series, from the archive or a server, cached on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.sources import LOCAL
from dicomdock.dock.services.threads import Lazy, Run
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from dicomdock.origin.workers import Workers

NO_PICTURE = "private, max-age=300"  # a server that is away now may be back in five minutes
KEPT = "private, max-age=86400"


class Thumbnails:
    """Answers ``/thumbnails/SOURCE/STUDY/SERIES``; 404 where there is nothing to show.

    Parameters
    ----------
    run : does blocking work.
    local, servers : where series are.
    decoders : decode the archive's images.
    """

    def __init__(self, run: Run, local: LocalArchive, servers: Servers, decoders: Lazy[Workers]) -> None:
        self._run = run
        self._local = local
        self._servers = servers
        self._decoders = decoders
        self._folder = local.settings.state / "thumbnails"

    async def answer(self, request: Request) -> Response:
        """Return the image of one series."""
        named = request.path_params
        try:
            resource = Resource(named["study"], named["series"])
            media_type, picture = await self._run(self._picture, named["source"], resource)
        except DicomdockError:
            return Response(status_code=404, headers={"Cache-Control": NO_PICTURE})
        return Response(picture, media_type=media_type, headers={"Cache-Control": KEPT})

    def _picture(self, source: str, resource: Resource) -> tuple[str, bytes]:
        from dicomdock.origin.thumbnails import ThumbnailCache

        return ThumbnailCache(self._folder).get(source, resource, lambda: self._make(source, resource))

    def _make(self, source: str, resource: Resource) -> tuple[str, bytes]:
        if source == LOCAL:
            from dicomdock.origin.context import Origin
            from dicomdock.origin.rendered import THUMBNAIL, one_picture
            from dicomdock.origin.view import View

            origin = Origin(lambda: self._local.archive, workers=self._decoders.get())
            answer = one_picture(origin, resource, View(viewport=THUMBNAIL, media_type="image/jpeg"))
            return "image/jpeg", bytes(answer.body)
        return self._servers.client(source).thumbnail(resource)
