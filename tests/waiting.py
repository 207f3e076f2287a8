"""Wait for a condition or for threads, with a limit: the only place of the tests that pauses."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable

PAUSE = 0.02  # seconds between two looks
LIMIT = 60.0  # seconds: for what is stuck, never for what is slow


def until(holds: Callable[[], object], what: str = "the condition", *, seconds: float = LIMIT) -> None:
    """Return as soon as ``holds`` does; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come true within {seconds:g} s"
        time.sleep(PAUSE)


def join(*threads: threading.Thread, seconds: float = LIMIT) -> None:
    """Wait until the threads have ended; fail with where one is when it does not in time."""
    for thread in threads:
        thread.join(seconds)
        if thread.is_alive():
            frame = sys._current_frames().get(thread.ident or 0)
            where = "".join(traceback.format_stack(frame)) if frame else ""
            raise AssertionError(f"the thread {thread.name} has not ended within {seconds:g} s:\n{where}")
