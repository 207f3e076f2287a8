"""The line on a study's page about images that objects of it refer to and that are not in the archive."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting, widgets
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.threads import Run
from dicomdock.dock.services.viewer_requests import ViewerRequests
from dicomdock.errors import DicomdockError
from dicomdock.transfer import MissingSource, missing_sources


class MissingLine:
    """Says that images are missing, and fetches them.

    Parameters
    ----------
    run : does blocking work.
    local : the archive.
    requests : finds the images.
    study : Study Instance UID.
    """

    def __init__(self, run: Run, local: LocalArchive, requests: ViewerRequests, study: str) -> None:
        self._run, self._local, self._requests, self._study = run, local, requests, study
        with (
            ui.element("div")
            .classes("arrival")
            .props('role="status" data-testid="missing-sources"') as self._line
        ):
            self._words = ui.label()
            ui.element("span").classes("spacer")
            self._button = widgets.button(
                "Find and download", self._fetch, kind="main", testid="fetch-missing"
            )
        self._line.set_visibility(False)

    async def look(self, *, coming: bool) -> None:
        """Look whether something is missing; silent while the study is coming."""
        missing = () if coming else await self._run(self._missing)
        self._line.set_visibility(bool(missing))
        one = len({each.referred_by for each in missing}) == 1
        who = "A segmentation or report of this study belongs" if one else "Objects of this study belong"
        self._words.set_text(f"{who} to images that are not on this computer.")

    def _missing(self) -> tuple[MissingSource, ...]:
        return missing_sources(self._local.archive, Resource(self._study))

    async def _fetch(self) -> None:
        self._button.disable()
        try:
            servers = await self._run(self._requests.fetch_sources, self._study)
        except DicomdockError as error:
            widgets.say(str(error), kind="failure")
        else:
            self._line.set_visibility(False)
            widgets.say(f"Downloading the images from {formatting.listed(servers)}.")
        finally:
            self._button.enable()
