"""Registration by landmarks: the same places, clicked in both pictures of a comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer import vtkMRMLMarkupsNode

from dicomdock.errors import GeometryError
from dicomdock.imaging.registration import Registration, from_landmarks
from dicomdock.imaging.registration.spatial import FIDUCIALS
from dicomdock.viewer.features.compare.logic import CompareLogic
from dicomdock.viewer.features.layout.layouts import AXIAL, COMPARE, OTHER
from dicomdock.viewer.features.registration.saving import save_registration
from dicomdock.viewer.features.registration.state import RegistrationState
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.registrations import Registrations
from dicomdock.viewer.scene import LPS

COLOUR = (0.35, 0.9, 0.95)
BEGIN = "Click the same place in both pictures, three times at least, not along a line."


class LandmarksLogic:
    """Takes pairs of points in the two pictures of a comparison.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    series, views, compare : both series, and where they are shown.
    registrations : have what is not saved yet, and so scroll both together.
    saving : stores objects.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        app: Any,
        series: SeriesLogic,
        views: Views,
        compare: CompareLogic,
        registrations: Registrations,
        saving: SavingLogic,
        notifications: Notifications,
    ) -> None:
        self.state, self.app = PageState(server.state, RegistrationState), app
        self.series, self.views, self.compare = series, views, compare
        self.registrations, self.saving, self.notifications = registrations, saving, notifications
        self._points: dict[str, list[np.ndarray]] = {AXIAL: [], OTHER: []}
        self._nodes: dict[str, Any] = {}
        self._frames = ("", "")
        control = server.controller
        control.pick_landmarks = self.toggle
        control.drop_landmark = self.drop
        control.save_landmarks = self.save
        series.on_shown.append(self._check)
        compare.on_second.append(self._check)
        views.state.bind_changes({views.state.name.layout: lambda _: self._check()})

    def toggle(self) -> None:
        """Begin to take clicks as landmarks, or end it."""
        if self.state.data.landmarks_on:
            self.end()
            return
        frames = self._shown_frames()
        if frames is None:
            self.notifications.info("Two series of images with a position in the patient are compared first.")
        elif frames[0] == frames[1]:
            self.notifications.info(
                "Both series lie in the same frame of reference: they are registered already."
            )
        else:
            self._frames = frames
            self.views.mouse.take_clicks(self._clicked)
            with self.compare.state as compared:
                compared.linked = False  # each picture is brought to its landmark by itself
            with self.state as data:
                data.landmarks_on, data.landmark_words = True, BEGIN

    def end(self) -> None:
        """Take no more clicks, and forget the landmarks and what they made, if it is not saved."""
        self.views.mouse.take_clicks(None)
        if self.registrations.is_unsaved(*self._frames):
            self.registrations.propose(None)
        for node in self._nodes.values():
            self.app.scene.RemoveNode(node)
        self._nodes.clear()
        for points in self._points.values():
            points.clear()
        with self.state as data:
            data.landmarks_on = data.landmarks_fit = False
            data.landmark_rows, data.landmark_words = [], ""
        self.views.redraw()

    def drop(self, at: int) -> None:
        """Forget a pair."""
        for tag, points in self._points.items():
            del points[at : at + 1]
            self._draw(tag)
        self._fit()

    async def save(self) -> None:
        """Store the registration as Spatial Registration in the study of the first series."""
        first, second = self.series.series, self.compare.second
        if first is None or second is None or not self.state.data.landmarks_fit:
            return
        if await save_registration(
            self.registrations, first.resource, second[1].resource, self.saving, self.notifications
        ):
            self.end()
            with self.compare.state as compared:
                compared.linked = True

    def _shown_frames(self) -> tuple[str, str] | None:
        """Return the frames of reference of both pictures; None where one has no position."""
        found = [self.series.volume, self.compare.volume]
        if self.views.state.data.layout != COMPARE:
            return None
        frames = [one.frame_of_reference for one in found if one is not None and one.spatial]
        return (frames[0], frames[1]) if len(frames) == 2 and all(frames) else None

    def _check(self) -> None:
        """End when other pictures are shown."""
        if self.state.data.landmarks_on and self._shown_frames() != self._frames:
            self.end()

    def _clicked(self, tag: str, point: np.ndarray) -> None:
        if tag in self._points:
            self._points[tag].append(point)
            self._draw(tag)
            self._fit()

    def _draw(self, tag: str) -> None:
        """Show the landmarks of a picture in it alone."""
        node = self._nodes.get(tag)
        if node is None:
            node = self._nodes[tag] = self.app.scene.AddNewNodeByClass(
                "vtkMRMLMarkupsFiducialNode", "landmarks"
            )
            node.SetControlPointLabelFormat("%d")
            node.SetLocked(True)
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            display.SetSelectedColor(*COLOUR)
            display.SetPropertiesLabelVisibility(False)
            display.SetPointLabelsVisibility(True)
            display.AddViewNodeID(self.views.view(tag).get_view_node().GetID())
        node.RemoveAllControlPoints()
        for number, point in enumerate(self._points[tag], 1):
            at = node.AddControlPoint(*(point * LPS))
            node.SetNthControlPointLabel(at, str(number))
            assert node.GetNthControlPointPositionStatus(at) == vtkMRMLMarkupsNode.PositionDefined
        self.views.redraw()

    def _fit(self) -> None:
        """Register by the pairs that there are."""
        fixed, moving = self._points[AXIAL], self._points[OTHER]
        pairs = min(len(fixed), len(moving))
        rows = [f"{at + 1}" for at in range(max(len(fixed), len(moving)))]
        words, made = BEGIN, None
        if pairs >= 3:
            try:
                found = from_landmarks(moving[:pairs], fixed[:pairs])
            except GeometryError as error:
                words = error.reason
            else:
                words = f"{pairs} pairs are brought together within {found.error:.1f} mm (root mean square)."
                rows[:pairs] = [f"{at + 1}: {left:.1f} mm" for at, left in enumerate(found.residuals)]
                made = Registration(*self._frames, found.matrix, FIDUCIALS, f"{pairs} landmarks")
        self.registrations.propose(made)
        with self.state as data:
            data.landmark_rows, data.landmark_words, data.landmarks_fit = rows, words, made is not None
