"""Wait for a condition: the only place of the tests that pauses."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.02  # seconds between two looks


def until(holds: Callable[[], object], what: str = "the condition", *, seconds: float = 60.0) -> None:
    """Return as soon as ``holds`` does; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come true within {seconds:g} s"
        time.sleep(PAUSE)
