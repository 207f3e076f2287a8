"""What a line carries, as the viewer finds it: against lines of a known rate, in a time of their own."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("trame_rca")

from hypothesis import given
from hypothesis import strategies as st

from dicomdock.viewer.frames import LESS, less_of
from dicomdock.viewer.line import Line


class _Simulated:
    """A line of a known rate and delay, which carries one picture after the other."""

    def __init__(self, rate: float, delay: float) -> None:
        self.now = 0.0
        self.line = Line(lambda: self.now)
        self._rate, self._delay = rate, delay
        self._free_at = 0.0

    def carry(self, sizes: list[int], every: float) -> None:
        """Send pictures, one each so many seconds; the page says of each that it has come."""
        due: list[tuple[float, int]] = []
        start = self.now
        for place, size in enumerate(sizes):
            self.now = start + place * every
            self._free_at = max(self._free_at, self.now) + size / self._rate
            due.append((self._free_at + self._delay, self.line.sent(size)))
            while due and due[0][0] <= start + (place + 1) * every:
                self._arrive(*due.pop(0))
        for one in due:
            self._arrive(*one)

    def _arrive(self, at: float, number: int) -> None:
        self.now = max(self.now, at)
        self.line.received(number, self._delay)


@pytest.mark.slow
@given(
    rate=st.floats(20_000, 20_000_000),
    delay=st.floats(0.001, 0.5),
    sizes=st.lists(st.integers(20_000, 200_000), min_size=8, max_size=20),
    every=st.floats(0.01, 0.3),
)
def test_the_rate_is_that_of_the_line(rate: float, delay: float, sizes: list[int], every: float) -> None:
    there = _Simulated(rate, delay)
    there.carry(sizes, every)
    assert (
        0.6 * rate <= there.line.rate <= 1.7 * rate or min(sizes) / rate < 0.005
    )  # else it is not the limit


def test_small_pictures_do_not_make_a_line_slow() -> None:
    there = _Simulated(625_000, 0.1)
    there.carry([60_000] * 6, 0.1)
    known = there.line.rate
    for _ in range(30):  # each waits for a page that is busy
        number = there.line.sent(3_000)
        there.now += 0.4
        there.line.received(number, 0.1)
    assert there.line.rate == known


def test_nothing_waits_for_a_page_that_is_gone() -> None:
    async def go() -> None:
        there = _Simulated(625_000, 0.1)
        for _ in range(10):
            there.line.sent(60_000)
        waiting = asyncio.create_task(there.line.room())
        await asyncio.sleep(0)
        assert not waiting.done()  # the page has received none of them
        there.line.forget()  # another page has come
        await waiting

    asyncio.run(go())


def test_there_is_room_again_when_pictures_have_arrived() -> None:
    async def go() -> None:
        there = _Simulated(625_000, 0.1)
        numbers = [there.line.sent(60_000) for _ in range(3)]
        waiting = asyncio.create_task(there.line.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        there.line.received(numbers[-1], 0.1)  # those before it have arrived or never will
        await waiting

    asyncio.run(go())


def test_a_picture_with_less_detail_is_the_same_picture() -> None:
    rows, columns = 128, 96
    pixels = np.zeros((rows, columns, 3), np.uint8)
    pixels[:64, :48] = (250, 30, 30)
    for detail in LESS:
        picture = Image.open(io.BytesIO(less_of(pixels, detail)))
        assert (picture.format, picture.size) == (
            "WEBP",
            (columns // detail.reduction, rows // detail.reduction),
        )
        seen = np.asarray(picture.convert("RGB").resize((columns, rows)))
        assert np.abs(seen[20, 20].astype(int) - (250, 30, 30)).max() < 30
        assert seen[100, 80].max() < 30
