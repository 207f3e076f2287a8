"""What all answers of the origin server share."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dicomdock.origin.responses import in_thread


def test_work_that_is_called_off_ends_before_what_it_works_on_is_taken_away() -> None:
    begun, go_on = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work() -> None:
        begun.set()
        go_on.wait(60)
        ended.append(True)

    async def call_off() -> None:
        asked = asyncio.ensure_future(in_thread(work))
        await asyncio.to_thread(begun.wait, 60)
        asked.cancel()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert ended

    asyncio.run(call_off())
