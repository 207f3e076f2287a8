"""What the viewer tells the user: a line above the pictures that goes away, or stays when it is bad."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

from trame.widgets import html

from dicomdock.viewer.page_state import PageState

SECONDS = 5.0  # that a note is to be read


@dataclass(frozen=True)
class Note:
    """A note: a number of its own, its text, and whether it says what went wrong."""

    number: int
    words: str
    bad: bool


@dataclass
class NotesState:
    """The notes that are shown, the oldest first."""

    notes: list[Note] = field(default_factory=list)


class Notes:
    """The notes that are shown."""

    def __init__(self, server: Any) -> None:
        self.state = PageState(server.state, NotesState)
        self._numbers = itertools.count(1)

        server.controller.note_read = self.drop

    def say(self, words: str) -> None:
        """Tell something that needs no answer."""
        number = self._add(words, bad=False)
        asyncio.get_running_loop().call_later(SECONDS, self.drop, number)

    def bad(self, words: str) -> None:
        """Tell what went wrong; it stays until it was read."""
        self._add(words, bad=True)

    def drop(self, number: int) -> None:
        """Take a note away."""
        with self.state as data:
            data.notes = [one for one in data.notes if one.number != number]

    def _add(self, words: str, *, bad: bool) -> int:
        number = next(self._numbers)
        with self.state as data:
            others = [one for one in data.notes if one.words != words][-2:]
            data.notes = [*others, Note(number, words, bad)]
        return number

    def build(self, server: Any) -> None:
        """Put the notes into the page."""
        with html.Div(classes="notes", raw_attrs=['role="status"', 'data-testid="notes"']):
            with html.Div(
                v_for=f"one in {self.state.name.notes}",
                key="one.number",
                classes=("['note', one.bad ? 'bad' : '']",),
            ):
                html.Span("{{ one.words }}")
                html.Button(
                    "Close",
                    v_if="one.bad",
                    classes="btn",
                    click=(server.controller.note_read, "[one.number]"),
                )
