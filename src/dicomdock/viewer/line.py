"""What the way to the page carries, measured by the pictures that the page says it has received."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from time import monotonic

MOVING_RATE = 15  # pictures a second that a moving view gets over a line that is too slow for all of them
MEASURED, ENOUGH = 6, 2  # pictures that the rate is the mean of, at most and at least
LARGE = (
    16_384  # bytes; smaller pictures are slow where page or viewer are busy, which says nothing of the line
)
AT_FIRST = 1 << 17  # bytes that are under way at most before anything was measured
FORGOTTEN = 5.0  # seconds after which a picture that nobody received holds nothing back


@dataclass(frozen=True)
class _Sent:
    size: int
    at: float


class Line:
    """The way to the page, which all views share.

    Parameters
    ----------
    clock : seconds, of any origin.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._numbers = count(1)
        self._under_way: dict[int, _Sent] = {}
        self._measured: deque[tuple[int, float]] = deque(maxlen=MEASURED)  # bytes, and seconds that they took
        self._received_at = -math.inf
        self._delay = 0.0
        self._arrived = asyncio.Event()

    @property
    def rate(self) -> float:
        """Bytes a second that arrive; infinite before it was measured."""
        if len(self._measured) < ENOUGH:
            return math.inf
        return sum(size for size, _ in self._measured) / max(sum(took for _, took in self._measured), 0.001)

    @property
    def allowance(self) -> float:
        """Bytes that a picture of a moving view may have."""
        return self.rate / MOVING_RATE

    def sent(self, size: int) -> int:
        """Note that a picture was sent; return the number by which the page will name it."""
        number = next(self._numbers)
        self._under_way[number] = _Sent(size, self._clock())
        return number

    def received(self, number: int, delay: float) -> None:
        """Note that the page has received a picture.

        Parameters
        ----------
        number : of the picture; those sent before it have arrived or never will.
        delay : seconds that the page's last message and its answer took; 0 if it does not know.
        """
        if (sent := self._under_way.get(number)) is None:
            return
        now = self._clock()
        if delay > 0:
            self._delay = min(self._delay or delay, delay)
        # The line was free for it when the one before it had arrived.
        took = max(now - max(sent.at + self._delay, self._received_at), 0.0)
        if sent.size >= LARGE or sent.size > self.rate * took:
            self._measured.append((sent.size, took))
        self._received_at = now
        self._under_way = {one: what for one, what in self._under_way.items() if one > number}
        self._arrived.set()

    def forget(self) -> None:
        """Wait for nothing that is under way: another page is there, or none."""
        self._under_way.clear()
        self._arrived.set()

    async def room(self) -> None:
        """Wait until a picture that is sent now does not wait long behind others."""
        while self._is_full():
            self._arrived.clear()
            oldest = min(one.at for one in self._under_way.values())
            left = oldest + FORGOTTEN - self._clock()
            try:
                await asyncio.wait_for(self._arrived.wait(), max(left, 0.0))
            except TimeoutError:
                self.forget()

    def _is_full(self) -> bool:
        most = AT_FIRST if self.rate == math.inf else self.rate * self._delay + self.allowance
        return sum(one.size for one in self._under_way.values()) > most
