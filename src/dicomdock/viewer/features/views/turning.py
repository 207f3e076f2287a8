"""Turning and mirroring the pictures of a view that shows the images in their own plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.notifications import Notifications

QUARTER = 90  # degrees


class Turning:
    """Turns the pictures of the view that the mouse was in last, else of the first one in the images' plane.

    Parameters
    ----------
    server : trame's.
    views : whose pictures are turned.
    focus : returns the view that the mouse was in last.
    notifications : shows messages to the user.
    """

    def __init__(
        self, server: Any, views: Views, focus: Callable[[], str], notifications: Notifications
    ) -> None:
        self._views, self._focus, self._notifications = views, focus, notifications
        control = server.controller
        control.turn_picture, control.mirror_picture = self.turn, self.mirror
        control.turn_picture_back = self.back

    def turn(self) -> None:
        """Turn what is seen by 90 degrees, clockwise."""
        if (tag := self._view()) is not None:
            rotation, mirrored = self._views.arrangement(tag)
            # What is mirrored after it was turned turns the other way.
            self._views.arrange(tag, ((rotation + (-QUARTER if mirrored else QUARTER)) % 360, mirrored))

    def mirror(self) -> None:
        """Exchange left and right of what is seen."""
        if (tag := self._view()) is not None:
            rotation, mirrored = self._views.arrangement(tag)
            self._views.arrange(tag, (rotation, not mirrored))

    def back(self) -> None:
        """Show pictures as they lie in the patient again."""
        if (tag := self._view()) is not None:
            self._views.arrange(tag, None)

    def _view(self) -> str | None:
        focus = self._focus()
        tag = focus if self._views.slice_at(focus) is not None else self._views.image_view()
        if tag is None:
            self._notifications.info("No view shows the images in their own plane.")
        return tag
