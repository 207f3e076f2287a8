"""The images that objects of the study belong to: shown with the object that was asked for, or announced
where they are missing, and retrieved when the user asks for it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from dicomdock.archive import Archive
from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, DicomdockError
from dicomdock.imaging.references import references_of
from dicomdock.transfer import MissingSource, missing_sources
from dicomdock.viewer.dock_client import DockClient, RequestFailed
from dicomdock.viewer.features.measure.logic import MeasuringLogic
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.source_images.state import SourcesState
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.shell.state import ShellState
from dicomdock.viewer.study import Series, read_instance

OPENED = ("segmentation", "structures", "report")


class SourcesLogic:
    """Brings objects and the images that they belong to together.

    Parameters
    ----------
    server : trame's.
    series : what is shown; it is let show the images of the object that was asked for.
    saving, measuring : open that object as soon as its images have arrived.
    archive : where the references are read.
    dock : finds and fetches what is missing.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        saving: SavingLogic,
        measuring: MeasuringLogic,
        archive: Archive,
        dock: DockClient,
        notifications: Notifications,
    ) -> None:
        self.state, self._shell = PageState(server.state, SourcesState), PageState(server.state, ShellState)
        self.series, self.saving, self.measuring = series, saving, measuring
        self.archive, self.dock, self.notifications = archive, dock, notifications
        self._asked: Resource | None = None
        self._wanted = ""  # Series Instance UID of the object that is to be opened on its images
        self._waiting = ""  # the same of one without its images
        self._looking: asyncio.Task[None] | None = None
        self._looked_at: frozenset[tuple[str, int]] = frozenset()

        server.controller.fetch_missing = self.fetch
        series.on_studied.append(self._studied)
        series.on_complete.append(self._bring)

    async def fetch(self) -> None:
        """Ask the servers for what is missing, and download it."""
        with self.state as data:
            data.missing_busy = True
        try:
            reply = await self.dock.fetch_sources()
        except RequestFailed as error:
            self.notifications.error(str(error))
        else:
            self._wanted = self._wanted or self._waiting
            self.notifications.info(f"The images come from {' and '.join(reply.servers)}.")
        finally:
            with self.state:
                data.missing_busy = False

    def _studied(self) -> None:
        study = self.series.study
        assert study is not None
        if self.series.asked is not self._asked:
            self._asked = self.series.asked
            self._wanted = self._asked.series or ""
        self._bring()
        here = frozenset((one.uid, one.count) for one in study.series)
        if not self.series.pulling and here != self._looked_at:
            self._looked_at = here
            self._looking = asyncio.get_running_loop().create_task(self._look(study.uid))

    def _bring(self) -> None:
        """Show the images that the wanted object belongs to, and open it when all of them have arrived."""
        study, shown = self.series.study, self.series.series
        wanted = study.find(self._wanted) if self._wanted and study is not None else None
        if wanted is None:
            return  # or it is still on its way
        if wanted.kind not in OPENED:
            self._wanted = ""
            return
        source = self._source(wanted.uid)
        if source is None:
            return
        if shown is None or shown.uid != source.uid:
            self.series.open_series(source.uid)
        elif self.series.complete:
            self._wanted = ""
            self._open(wanted)

    def _open(self, wanted: Series) -> None:
        if wanted.kind == "report":
            self._shell.data.tool = "measure"
            self.measuring.open(wanted.uid)
        else:
            self._shell.data.tool = "segment"
            self.saving.before(lambda: self.saving.segments.open(wanted.uid))

    def _source(self, uid: str) -> Series | None:
        study = self.series.study
        assert study is not None
        for one in self.archive.instances(Resource(study.uid, uid))[:1]:
            try:
                named = references_of(read_instance(self.archive, one, pixels=False))
            except DamagedInstances as error:
                self._wanted = ""
                self.notifications.error(str(error))
                return None
            except (DicomdockError, *READ_ERRORS):
                return None
            found = (study.find(series) for series in named)
            return next((one for one in found if one is not None and one.kind == "image"), None)
        return None

    async def _look(self, study: str) -> None:
        missing = await asyncio.to_thread(missing_sources, self.archive, Resource(study))
        if self.series.study is not None and self.series.study.uid == study:
            self._waiting = next((one.referred_by.series or "" for one in missing), "")
            with self.state as data:
                data.missing_words = self._words(missing)

    def _words(self, missing: tuple[MissingSource, ...]) -> str:
        if not missing:
            return ""
        assert self.series.study is not None
        names = dict.fromkeys(
            one.name if (one := self.series.study.find(each.referred_by.series or "")) else "An object"
            for each in missing
        )
        if len(names) > 1:
            return f"{len(names)} objects of this study belong to images that are not on this computer."
        return f"{next(iter(names))} belongs to images that are not on this computer."
