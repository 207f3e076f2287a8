"""The pictures that the page shows, numbered: which state of the scene each of them was drawn from.

A view's scene has a number, which rises with the first change after a picture was drawn of it. Each picture
carries the number of the state that it shows, and the page is sent each new number at once, so that who
looks at the page can see whether it is current. Pictures are sent in the order in which they
were drawn, and the newest one is never left out.

On a line that is too slow for pictures of a moving view they are sent with less detail, and the last one
again with all of it as soon as the view rests.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import numpy as np
from PIL import Image
from trame.app import asynchronous
from trame_rca.encoders import RcaImageEncoder

from dicomdock.viewer.line import Line

QUALITY = 90  # of JPEG
REST = 0.12  # seconds without a change after which a view rests
_ENCODERS = ThreadPoolExecutor(2, thread_name_prefix="encoding")

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Push = Callable[[bytes, dict[str, Any]], None]


@dataclass(frozen=True)
class Detail:
    """How much of a picture is sent, as WebP.

    Parameters
    ----------
    quality : of WebP.
    reduction : by which rows and columns are divided.
    share : bytes beside the same picture as JPEG with all detail, as measured on slices of an MR.
    """

    quality: int
    reduction: int
    share: float


LESS = (
    Detail(75, 1, 0.48),
    Detail(45, 1, 0.37),
    Detail(60, 2, 0.15),
    Detail(30, 2, 0.12),
    Detail(20, 4, 0.04),
)


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
    line : to the page.
    """

    def __init__(
        self, window: Window, target_fps: float, announce: Callable[[int], None], line: Line
    ) -> None:
        self.rca = window
        self.target_fps = target_fps
        self.line = line
        self._announce = announce
        self._push: Push | None = None
        self._changed = asyncio.Event()
        self._state = 0
        self._whole = 0.0  # bytes of the view's pictures with all detail
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
        while True:
            await self._changed.wait()
            await self.line.room()
            begun = monotonic()
            self._changed.clear()
            state = self._state
            pixels, columns, rows = self.rca.img_cols_rows
            detail = self._detail()
            await self._send(pixels, columns, rows, state, detail)
            await asyncio.sleep(max(0.0, 1 / self.target_fps - (monotonic() - begun)))
            if detail is not None and await self._rests():
                await self._send(pixels, columns, rows, state, None)

    def _detail(self) -> Detail | None:
        """Return with how much detail a picture is sent now; None for all of it."""
        most = self.line.allowance
        if self._whole <= most:
            return None
        return next((one for one in LESS if self._whole * one.share <= most), LESS[-1])

    async def _rests(self) -> bool:
        """Wait until the view rests and the line is free; return False where it changes before."""
        try:
            await asyncio.wait_for(self._changed.wait(), REST)
        except TimeoutError:
            await self.line.room()
        return not self._changed.is_set()

    async def _send(self, pixels: Pixels, columns: int, rows: int, state: int, detail: Detail | None) -> None:
        loop = asyncio.get_running_loop()
        if detail is None:
            content, facts, _ = await loop.run_in_executor(
                _ENCODERS, RcaImageEncoder.JPEG.encode, pixels, columns, rows, QUALITY
            )
            self._whole = len(content)
        else:
            content = await loop.run_in_executor(_ENCODERS, less_of, pixels, detail)
            self._whole = len(content) / detail.share
            facts = {"type": "image/webp"}
        if self._push is not None:
            size = {"w": pixels.shape[1], "h": pixels.shape[0]}  # of a picture with all detail
            numbers = {"state": state, "number": self.line.sent(len(content))}
            self._push(content, {**facts, **size, **numbers, "whole": detail is None})


def less_of(pixels: Pixels, detail: Detail) -> bytes:
    """Return a picture with less detail, as WebP.

    Parameters
    ----------
    pixels : rows from the top, columns, red green blue.
    """
    picture = Image.fromarray(pixels)
    if detail.reduction > 1:
        picture = picture.reduce(detail.reduction)
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=detail.quality, method=0)
    return content.getvalue()
