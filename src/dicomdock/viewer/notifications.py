"""What the viewer tells the user: a line above the pictures that goes away, or stays when it is bad."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from trame.widgets import html

SECONDS = 5.0  # that a note is to be read


class Notes:
    """The notes that are shown."""

    def __init__(self, server: Any) -> None:
        self.state = server.state
        self._numbers = itertools.count(1)
        self.state.notes = []
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
        with self.state:
            self.state.notes = [one for one in self.state.notes if one["number"] != number]

    def _add(self, words: str, *, bad: bool) -> int:
        number = next(self._numbers)
        kept = [one for one in self.state.notes if one["words"] != words][-2:]
        with self.state:
            self.state.notes = [*kept, {"number": number, "words": words, "bad": bad}]
        return number

    def build(self, server: Any) -> None:
        """Put the notes into the page."""
        with html.Div(classes="notes", raw_attrs=['role="status"', 'data-testid="notes"']):
            with html.Div(
                v_for="one in notes", key="one.number", classes=("['note', one.bad ? 'bad' : '']",)
            ):
                html.Span("{{ one.words }}")
                html.Button(
                    "Close",
                    v_if="one.bad",
                    classes="btn",
                    click=(server.controller.note_read, "[one.number]"),
                )
