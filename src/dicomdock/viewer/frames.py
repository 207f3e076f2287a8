"""The pictures that the page shows, numbered: which state of the scene each of them was drawn from.

A view's scene has a number, which rises with the first change after a picture was drawn of it. Each picture
carries the number of the state that it shows, and the page is sent each new number at once, so that who
looks at the page can see whether it is current. Pictures are sent in the order in which they
were drawn, and the newest one is never left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Protocol

import numpy as np
from trame.app import asynchronous
from trame_rca.encoders import RcaImageEncoder

QUALITY = 90  # of JPEG
_ENCODERS = ThreadPoolExecutor(2, thread_name_prefix="encoding")

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Push = Callable[[bytes, dict[str, Any]], None]


class Window(Protocol):
    """What pictures are drawn of."""

    @property
    def img_cols_rows(self) -> tuple[Pixels, int, int]:
        """Draw, and return the pixels with their columns and rows."""


class FrameScheduler:
    """Draws a view when it has changed, at most so many times a second (a scheduler of trame-rca).

    Parameters
    ----------
    window : what is drawn.
    target_fps : pictures a second, at most.
    announce : receives each new number of the scene's state.
    """

    def __init__(self, window: Window, target_fps: float, announce: Callable[[int], None]) -> None:
        self.rca = window
        self.target_fps = target_fps
        self._announce = announce
        self._push: Push | None = None
        self._changed = asyncio.Event()
        self._state = 0
        self._task = asynchronous.create_task(self._run())

    @property
    def state(self) -> int:
        """Number of the scene's current state."""
        return self._state

    def set_push_callback(self, callback: Push) -> None:
        """Set what sends a picture to the page."""
        self._push = callback

    def schedule_render(self) -> None:
        """Draw the view as soon as its rate allows it: the scene has changed."""
        if not self._changed.is_set():
            self._changed.set()
            self._state += 1
            self._announce(self._state)

    def reset(self) -> None:
        """Do nothing: every picture is whole by itself."""

    async def close(self) -> None:
        """End drawing."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            begun = monotonic()
            self._changed.clear()
            state = self._state
            pixels, columns, rows = self.rca.img_cols_rows
            content, facts, _ = await loop.run_in_executor(
                _ENCODERS, RcaImageEncoder.JPEG.encode, pixels, columns, rows, QUALITY
            )
            if self._push is not None:
                self._push(content, {**facts, "state": state})
            await asyncio.sleep(max(0.0, 1 / self.target_fps - (monotonic() - begun)))
