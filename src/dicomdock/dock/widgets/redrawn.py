"""A part of a page that is drawn anew only when what it shows has changed."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui


class Redrawn:
    """A part of a page; a click on a button of it that is drawn anew at that moment would be lost.

    Parameters
    ----------
    element : what it is drawn in.
    """

    def __init__(self, element: ui.element) -> None:
        self._element = element
        self._shown: object = None

    def show(self, content: object, draw: Callable[[], object]) -> None:
        """Draw unless this content is shown already.

        Parameters
        ----------
        content : all that ``draw`` depends on, as a value; None for nothing.
        draw : adds the elements.
        """
        if content == self._shown:
            return
        self._shown = content
        self._element.clear()
        if content is not None:
            with self._element:
                draw()

    def clear(self) -> None:
        """Show nothing."""
        self.show(None, lambda: None)
