"""Widgets: the few elements that all pages are made of.

Text from DICOM objects and servers goes into ``ui.label`` and into the ``props`` mapping, never into
``ui.html``, ``ui.markdown``, slot templates or the string form of ``.props()``: those are read as code.
"""

from __future__ import annotations

from dicomdock.dock.widgets.asking import Question, question
from dicomdock.dock.widgets.basics import (
    State,
    button,
    choice,
    empty,
    field,
    icon_button,
    listen_for_undo,
    mark,
    mark_saved,
    say,
)
from dicomdock.dock.widgets.grid import Column, Grid, Row
from dicomdock.dock.widgets.redrawn import Redrawn

__all__ = [
    "Column",
    "Grid",
    "Question",
    "Redrawn",
    "Row",
    "State",
    "button",
    "choice",
    "empty",
    "field",
    "icon_button",
    "listen_for_undo",
    "mark",
    "mark_saved",
    "question",
    "say",
]
