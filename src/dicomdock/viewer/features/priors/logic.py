"""The patient's other studies in the archive, to be shown beside the present one."""

from __future__ import annotations

import asyncio
from typing import Any

from dicomdock.archive import Archive
from dicomdock.viewer.features.compare.logic import CompareLogic
from dicomdock.viewer.features.priors.state import PriorRow, PriorsState
from dicomdock.viewer.features.series.logic import SeriesLogic, series_rows
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.study import Study, read_priors, read_study


class PriorsLogic:
    """Lists prior studies and opens their series in the second view.

    Parameters
    ----------
    server : trame's.
    series : what is shown.
    compare : the second view.
    archive : where studies are.
    """

    def __init__(self, server: Any, series: SeriesLogic, compare: CompareLogic, archive: Archive) -> None:
        self.state, self.series, self.compare = PageState(server.state, PriorsState), series, compare
        self._archive = archive
        self._patient: tuple[str, ...] = ()
        self._study: Study | None = None
        server.controller.list_prior = self.list_series
        server.controller.compare_prior = self.show
        server.controller.trigger("dropped")(self.dropped)
        series.on_studied.append(self._studied)

    async def list_series(self, uid: str) -> None:
        """List the series of a prior study, or close the list."""
        if uid == self.state.data.prior_uid:
            uid = ""
        study = await asyncio.to_thread(read_study, self._archive, uid) if uid else None
        self._study = study
        with self.state as data:
            data.prior_uid = uid
            data.prior_series = series_rows(study.images()) if study is not None else []

    def show(self, uid: str) -> None:
        """Show a series of the listed prior study beside the present one."""
        series = self._study.find(uid) if self._study is not None else None
        if self._study is not None and series is not None:
            self.compare.show(self._study, series)

    def dropped(self, uid: str, second: bool) -> None:
        """Show a series that was dragged onto a view; ``second``: that of a comparison."""
        study = self.series.study
        if study is None or study.find(uid) is None:
            self.show(uid)
        elif second:
            self.compare.open(uid)
        else:
            self.series.open_series(uid)

    def _studied(self) -> None:
        study = self.series.study
        if study is not None and study.patient_lines != self._patient:
            self._patient = study.patient_lines
            asyncio.get_running_loop().create_task(self._list(study))

    async def _list(self, study: Study) -> None:
        found = await asyncio.to_thread(read_priors, self._archive, study)
        with self.state as data:
            data.priors = [
                PriorRow(
                    one.uid,
                    " ".join(part for part in (one.date, one.description) if part) or "Study without a date",
                    one.modalities.replace("\\", ", "),
                )
                for one in found
            ]
            data.prior_uid, data.prior_series = "", []
