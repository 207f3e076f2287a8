"""Open studies as the user's hanging rules say, and make a rule of how the present one is shown."""

from __future__ import annotations

import asyncio
from typing import Any

from dicomdock.config.hanging import Rule, Rules, rule_for
from dicomdock.config.settings import Settings
from dicomdock.errors import InvalidInput
from dicomdock.viewer.features.compare.logic import CompareLogic
from dicomdock.viewer.features.hanging.state import HangingState, RuleRow
from dicomdock.viewer.features.layout.layouts import COMPARE, LAYOUTS
from dicomdock.viewer.features.priors.logic import PriorsLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.study import Series, Study, read_study


class HangingLogic:
    """Applies a rule once for each study that is opened.

    Parameters
    ----------
    server : trame's.
    series, compare, priors : the two views, and where a prior study comes from.
    settings : whose rules.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        compare: CompareLogic,
        priors: PriorsLogic,
        settings: Settings,
        notifications: Notifications,
    ) -> None:
        self.state = PageState(server.state, HangingState)
        self.series, self.compare, self.priors = series, compare, priors
        self.notifications = notifications
        self._rules = Rules(settings)
        self._hung = ""  # the study that a rule was looked for
        self._second: Rule | None = None  # whose second series is not shown yet
        server.controller.save_rule = self.save
        server.controller.remove_rule = self.remove
        series.on_studied.append(self._studied)
        series.on_shown.append(self._bring_second)
        priors.on_listed.append(self._bring_second)
        self._show()

    def save(self, series: int) -> None:
        """Make a rule of how the study is shown now.

        Parameters
        ----------
        series : number of series of the studies that it is for; 0 for any.
        """
        study, shown = self.series.study, self.series.series
        if study is None or shown is None:
            return
        layout = self.series.views.state.data.layout
        second = self.compare.second if layout == COMPARE else None
        linked = self.compare.state.data
        rule = Rule(
            self.state.data.hanging_modality,
            series,
            layout,
            shown.description,
            second[1].description if second is not None else "",
            prior=second is not None and second[0].uid != study.uid,
            linked=linked.linked,
            zoomed=linked.zoomed,
            windowed=linked.windowed,
        )
        self._write(lambda: self._rules.add(rule), f"From now on: {rule.words}.")

    def remove(self, modality: str, series: int) -> None:
        """Remove the rule for a modality and number of series."""
        self._write(lambda: self._rules.remove((modality, series)), "That rule is gone.")

    def _write(self, work: Any, words: str) -> None:
        try:
            work()
        except InvalidInput as error:
            self.notifications.error(str(error))
            return
        self._show()
        self.notifications.info(words)

    def _show(self) -> None:
        with self.state as data:
            data.rules = [RuleRow(*one.key, one.words) for one in self._read()]

    def _read(self) -> tuple[Rule, ...]:
        try:
            return self._rules.read()
        except InvalidInput as error:
            self.notifications.error(str(error))
            return ()

    def _studied(self) -> None:
        study = self.series.study
        largest = study.largest() if study is not None else None
        if study is None or largest is None:
            return
        count = len(study.images())
        with self.state as data:
            data.hanging_modality, data.hanging_series = largest.modality, count
        if study.uid == self._hung:
            return
        self._hung = study.uid
        rule = self._second = rule_for(self._read(), largest.modality, count)
        if rule is not None:
            self._apply(rule, study)

    def _apply(self, rule: Rule, study: Study) -> None:
        """Show the first series in the rule's layout; a second one comes when the first is there."""
        views = self.series.views.state
        if rule.layout != COMPARE and rule.layout in LAYOUTS:
            with views as data:
                data.layout = rule.layout
        with self.compare.state as choice:
            choice.linked, choice.zoomed, choice.windowed = rule.linked, rule.zoomed, rule.windowed
        first = _named(study, rule.first)
        if first is not None and self.series.asked.series is None:
            self.series.open_series(first.uid)

    def _bring_second(self) -> None:
        rule, study, shown = self._second, self.series.study, self.series.series
        if rule is None or study is None or shown is None or rule.layout != COMPARE:
            return
        if rule.prior:
            prior = next(
                (one for one in self.priors.here if rule.modality in one.modalities.split("\\")), None
            )
            if prior is not None:
                self._second = None
                asyncio.get_running_loop().create_task(self._show_prior(rule, prior.uid, shown))
            return
        second = _named(study, rule.second)
        if second is not None:
            self._second = None
            self.compare.show(study, second)

    async def _show_prior(self, rule: Rule, uid: str, shown: Series) -> None:
        prior = await asyncio.to_thread(read_study, self.priors.archive, uid)
        second = _named(prior, rule.second or shown.description) or prior.largest()
        if second is not None:
            self.compare.show(prior, second)


def _named(study: Study, description: str) -> Series | None:
    """Return the series of images of that description; None for none, or where none is wanted."""
    wanted = description.casefold()
    return next((one for one in study.images() if wanted and one.description.casefold() == wanted), None)
