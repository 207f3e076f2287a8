"""Work that waits for others, in threads that do not keep the viewer from ending."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def in_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """Do work in a thread of its own, and return its result to the event loop.

    ``asyncio.to_thread`` would let the end of the viewer wait for a server that says nothing.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def hand_over(results: list[Result], error: BaseException | None) -> None:
        if done.done():  # whoever waited has gone on without it
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(results[0])

    def run() -> None:
        results: list[Result] = []
        failed: BaseException | None = None
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            failed = error
        loop.call_soon_threadsafe(hand_over, results, failed)

    threading.Thread(target=run, name="viewer work", daemon=True).start()
    return done
