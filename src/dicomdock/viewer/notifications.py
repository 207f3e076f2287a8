"""Messages above the pictures: they disappear by themselves, errors stay until they are closed."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

from trame.widgets import html

from dicomdock.viewer.page_state import PageState

SECONDS = 5.0  # that a message is shown


@dataclass(frozen=True)
class Notification:
    """A notification: its number, its text, and whether it is an error."""

    number: int
    words: str
    bad: bool


@dataclass
class NotificationsState:
    """The notifications that are shown, the oldest first."""

    notes: list[Notification] = field(default_factory=list)


class Notifications:
    """The notifications that are shown."""

    def __init__(self, server: Any) -> None:
        self.state = PageState(server.state, NotificationsState)
        self._numbers = itertools.count(1)

        server.controller.close_notification = self.close

    def info(self, words: str) -> None:
        """Show a message that disappears by itself."""
        number = self._add(words, bad=False)
        asyncio.get_running_loop().call_later(SECONDS, self.close, number)

    def error(self, words: str) -> None:
        """Show an error, which stays until it is closed."""
        self._add(words, bad=True)

    def close(self, number: int) -> None:
        """Close a notification."""
        with self.state as data:
            data.notes = [one for one in data.notes if one.number != number]

    def _add(self, words: str, *, bad: bool) -> int:
        number = next(self._numbers)
        with self.state as data:
            others = [one for one in data.notes if one.words != words][-2:]
            data.notes = [*others, Notification(number, words, bad)]
        return number

    def build(self, server: Any) -> None:
        """Put the notifications into the page."""
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
                    click=(server.controller.close_notification, "[one.number]"),
                )
