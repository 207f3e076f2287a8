"""Registration by hand: the series over the images is shifted and turned until it fits."""

from __future__ import annotations

from typing import Any

import numpy as np

from dicomdock.imaging.registration import Registration, adjusted
from dicomdock.imaging.registration.spatial import VISUAL
from dicomdock.viewer.features.fusion.logic import FusionLogic, middle
from dicomdock.viewer.features.registration.saving import save_registration
from dicomdock.viewer.features.registration.state import RegistrationState
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.registrations import Registrations


class ByHandLogic:
    """Shifts and turns the series over the images, where it comes from another frame of reference.

    Parameters
    ----------
    server : trame's.
    series, fusion : the images, and what lies over them.
    registrations : have what is not saved yet, and so move what lies over the images.
    saving : stores objects.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        fusion: FusionLogic,
        registrations: Registrations,
        saving: SavingLogic,
        notifications: Notifications,
    ) -> None:
        self.state, self.series, self.fusion = PageState(server.state, RegistrationState), series, fusion
        self.registrations, self.saving, self.notifications = registrations, saving, notifications
        self._frames: tuple[str, str] | None = None
        self._base = np.eye(4)
        name = self.state.name
        shift = (name.shift_left, name.shift_back, name.shift_head)
        turn = (name.turn_left, name.turn_back, name.turn_head)
        self.state.bind_changes({(*shift, *turn): self._changed})
        server.controller.lay_by_hand = fusion.lay_by_hand
        server.controller.save_by_hand = self.save
        server.controller.drop_by_hand = self.drop
        fusion.on_drawn.append(self._drawn)

    async def save(self) -> None:
        """Store where the series lies as Spatial Registration in the study of the images."""
        images, study = self.series.series, self.series.study
        over = study.find(self.fusion.state.data.fusion_uid) if study is not None else None
        if images is None or over is None:
            return
        if await save_registration(
            self.registrations, images.resource, over.resource, self.saving, self.notifications
        ):
            self._begin()

    def drop(self) -> None:
        """Show the series where it lay before; take it away where nothing registered it."""
        self.registrations.propose(None)
        if self._frames is not None and self.registrations.between(*self._frames) is None:
            self.fusion.remove()
        else:
            self._begin()

    def _drawn(self) -> None:
        apart, drawn = self.fusion.apart, self.fusion.drawn
        if apart is None or drawn is not None:
            frames = (
                None
                if apart is None or drawn is None
                else (drawn.volume.frame_of_reference, apart.frame_of_reference)
            )
            if frames != self._frames:
                before, self._frames = self._frames, frames
                if before is not None and self.registrations.is_unsaved(*before):
                    self.registrations.propose(None)
                self._begin()
        with self.state as data:
            data.by_hand_on = apart is not None and drawn is not None

    def _begin(self) -> None:
        """Take where the series lies as the beginning."""
        matrix = self.registrations.between(*self._frames) if self._frames is not None else None
        self._base = np.eye(4) if matrix is None else matrix
        with self.state as data:
            data.shift_left = data.shift_back = data.shift_head = 0
            data.turn_left = data.turn_back = data.turn_head = 0
            data.by_hand_unsaved = self._frames is not None and self.registrations.is_unsaved(*self._frames)

    def _changed(self, *numbers: float) -> None:
        given = np.array([float(one or 0) for one in numbers])
        apart = self.fusion.apart
        if self._frames is None or apart is None or not (given.any() or self.state.data.by_hand_unsaved):
            return
        centre = self._base[:3, :3] @ middle(apart.geometry) + self._base[:3, 3]
        matrix = adjusted(self._base, centre, given[:3], given[3:])
        self.registrations.propose(Registration(*self._frames, matrix, VISUAL, "By hand"))
        with self.state as data:
            data.by_hand_unsaved = True
