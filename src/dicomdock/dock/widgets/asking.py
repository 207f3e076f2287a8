"""Ask: a dialog with a title, what there is to say and to choose, and the answers at its foot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui

from dicomdock.dock.widgets.basics import button


class Question:
    """A dialog that waits for an answer; made by ``question``.

    Parameters
    ----------
    title : what is asked, a sentence.
    testid : how tests find it.
    """

    def __init__(self, title: str, testid: str = "") -> None:
        self._dialog = ui.dialog()
        self._dialog.props["aria-label"] = title
        with self._dialog, ui.card().classes("ask") as card:
            if testid:
                card.props["data-testid"] = testid
            ui.label(title).classes("ask-title")
            self.body = ui.element("div").classes("ask-list")
            self.foot = ui.element("div").classes("ask-foot")

    def answer(self, value: object) -> None:
        """Close the dialog with this answer."""
        self._dialog.submit(value)

    def cancel(self, text: str = "Cancel") -> None:
        """Put the answer that does nothing at the foot; Enter gives it, as it has the focus."""
        with self.foot:
            button(text, lambda: self.answer(None), testid="ask-cancel").props("autofocus")

    async def ask(self) -> Any:
        """Show it and wait; None when it is closed without an answer."""
        answer = await self._dialog
        self._dialog.delete()
        return answer


@contextmanager
def question(title: str, *, testid: str = "") -> Iterator[Question]:
    """Make a dialog; its text and fields are made within the ``with``."""
    made = Question(title, testid)
    with made.body:
        yield made
