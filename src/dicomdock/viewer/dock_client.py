"""Errands: what a viewer asks of the process that started it, for want of a server (``dock.errands``)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from dicomdock.errors import DicomdockError
from dicomdock.viewer.channel import Message

Progress = Callable[[int, int], None]
"""Told how many instances are done, and of how many."""


class ErrandError(DicomdockError):
    """An errand failed; the words are the dock's."""


class Errands:
    """Asks, and hands the answers to who waits for them; on the event loop.

    Parameters
    ----------
    tell : writes an event to the dock.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Message], Progress | None]] = {}

    async def ask(self, what: str, *, progress: Progress | None = None, **facts: Any) -> Message:
        """Ask for something and wait for its answer.

        Raises
        ------
        ErrandError
            It could not be done.
        """
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (answer, progress)
        self._tell("errand", number=number, what=what, **facts)
        try:
            said = await answer
        finally:
            del self._waiting[number]
        if "error" in said:
            raise ErrandError(said["error"])
        return said

    def hear(self, order: Message) -> None:
        """Take an answer, or how far an errand is."""
        answer, progress = self._waiting.get(order["number"], (None, None))
        if order["do"] == "progress" and progress is not None:
            progress(order["done"], order["of"])
        elif order["do"] == "answer" and answer is not None and not answer.done():
            answer.set_result(order)

    def tell(self, what: str, **facts: Any) -> None:
        """Let the dock know something, without waiting for an answer."""
        self._tell("errand", number=next(self._numbers), what=what, **facts)
