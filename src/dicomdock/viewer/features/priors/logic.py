"""The patient's other studies, here and on servers, to be shown beside the present one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dicomdock import rpc
from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.viewer.dock_client import DockClient, RequestFailed
from dicomdock.viewer.features.compare.logic import CompareLogic
from dicomdock.viewer.features.layout.layouts import BESIDE
from dicomdock.viewer.features.priors.state import PriorRow, PriorsState
from dicomdock.viewer.features.series.logic import SeriesLogic, series_rows
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.study import Study, dashed, read_priors, read_study

LOOK_SECONDS = 1.0  # between two looks at what has arrived of a study
STILL_SECONDS = 30.0  # without a new image, after which one that is on its way is not waited for
UNCOUNTED_SECONDS = 5.0  # the same where the server does not count; it is taken for complete then


class PriorsLogic:
    """Lists prior studies, downloads them, and opens their series in the second view.

    Parameters
    ----------
    server : trame's.
    series : what is shown.
    compare : the second view.
    archive : where studies are.
    dock : finds and downloads what is on servers.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        compare: CompareLogic,
        archive: Archive,
        dock: DockClient,
        notifications: Notifications,
    ) -> None:
        self.state, self.series, self.compare = PageState(server.state, PriorsState), series, compare
        self.archive, self.dock, self.notifications = archive, dock, notifications
        self.on_listed: list[Callable[[], None]] = []  # the studies that are here are known
        self.here: tuple[Study, ...] = ()  # the latest first, without their series
        self._patient: tuple[str, ...] = ()
        self._study: Study | None = None
        self._far: dict[str, rpc.PriorStudy] = {}
        server.controller.list_prior = self.list_series
        server.controller.compare_prior = self.show
        server.controller.find_priors = self.find
        server.controller.fetch_prior = self.fetch
        server.controller.trigger("dropped")(self.dropped)
        series.on_studied.append(self._studied)

    async def list_series(self, uid: str) -> None:
        """List the series of a prior study, or close the list."""
        if uid == self.state.data.prior_uid:
            uid = ""
        study = await asyncio.to_thread(read_study, self.archive, uid) if uid else None
        self._study = study
        with self.state as data:
            data.prior_uid = uid
            data.prior_series = series_rows(study.images()) if study is not None else []

    async def find(self) -> None:
        """Search the servers for studies of the patient that are not here."""
        with self.state as data:
            data.far_busy, data.far_words = True, ""
        try:
            reply = await self.dock.find_priors()
        except RequestFailed as error:
            self.notifications.error(str(error))
            return
        finally:
            with self.state:
                data.far_busy = False
        self._far = {one.study: one for one in reply.studies}
        with self.state:
            data.far_priors = [_row(one) for one in reply.studies]
            none = "" if reply.studies else "Your servers have no other study of this patient."
            data.far_words = " ".join((*reply.problems, none if not reply.problems else "")).strip()

    async def fetch(self, uid: str) -> None:
        """Download a study that was found on a server, and list its series when it has arrived."""
        wanted = self._far.get(uid)
        if wanted is None or uid in self.state.data.arriving:
            return
        self._say(uid, "…")
        try:
            watching = asyncio.create_task(self._watch(wanted))
            try:
                await self.dock.fetch_prior(uid)
            except RequestFailed:
                watching.cancel()
                raise
            complete = await watching
        except RequestFailed as error:
            self.notifications.error(str(error))
            return
        finally:
            self._say(uid, "")
        if not complete:
            self.notifications.info(
                "That study is still on its way; dicomdock's transfers say how far it is."
            )
            return
        study = self.series.study
        if study is None:
            return
        await self._list(study)
        if self.state.data.prior_uid != uid:
            await self.list_series(uid)

    def show(self, uid: str, view: str = "") -> None:
        """Show a series of the listed prior study beside the present one, in the chosen view or another."""
        series = self._study.find(uid) if self._study is not None else None
        if self._study is not None and series is not None:
            self.compare.show(self._study, series, view)

    def dropped(self, uid: str, view: str) -> None:
        """Show a series that was dragged onto a view."""
        study, beside = self.series.study, view if view in BESIDE else ""
        if study is None or study.find(uid) is None:
            self.show(uid, beside)
        elif beside:
            self.compare.open(uid, beside)
        else:
            self.series.open_series(uid)

    def _studied(self) -> None:
        study = self.series.study
        if study is not None and study.patient_lines != self._patient:
            self._patient, self._far = study.patient_lines, {}
            with self.state as data:
                data.far_priors, data.far_words, data.known = [], "", bool(study.patient_id)
            asyncio.get_running_loop().create_task(self._list(study))

    async def _list(self, study: Study) -> None:
        self.here = await asyncio.to_thread(read_priors, self.archive, study)
        known = {one.uid for one in self.here}
        with self.state as data:
            data.priors = [
                PriorRow(one.uid, _name(one.date, one.description), one.modalities.replace("\\", ", "))
                for one in self.here
            ]
            data.far_priors = [one for one in data.far_priors if one.uid not in known]
            data.prior_uid, data.prior_series = "", []
        for callback in self.on_listed:
            callback()

    async def _watch(self, wanted: rpc.PriorStudy) -> bool:
        """Count what arrives of a study until it is complete; return False where nothing more comes."""
        seen, still = 0, 0.0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            count = len(await asyncio.to_thread(self.archive.instances, Resource(wanted.study)))
            still = 0.0 if count > seen else still + LOOK_SECONDS
            seen = count
            if wanted.instances and count >= wanted.instances:
                return True
            if count and not wanted.instances and still >= UNCOUNTED_SECONDS:
                return True
            if still >= STILL_SECONDS:
                return False
            self._say(wanted.study, f"{count} of {wanted.instances}" if wanted.instances else str(count))

    def _say(self, uid: str, words: str) -> None:
        with self.state as data:
            rest = {key: said for key, said in data.arriving.items() if key != uid}
            data.arriving = {**rest, uid: words} if words else rest


def _row(one: rpc.PriorStudy) -> PriorRow:
    return PriorRow(
        one.study, _name(dashed(one.date), one.description), ", ".join(one.modalities), one.server
    )


def _name(date: str, description: str) -> str:
    return " ".join(part for part in (date, description) if part) or "Study without a date"
