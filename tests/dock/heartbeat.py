"""What a dock notes of its loop where a test wants to know: how long each turn of it took.

Processor time of the loop's thread, not time of the clock: a busy machine lets the loop wait without holding
it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

FILE = "DICOMDOCK_TEST_TURNS"
NOTED = 0.01  # seconds; shorter turns are not written


def note_turns() -> None:
    """Write the turns of this process's loops to the file that the environment names, if it does."""
    name = os.environ.pop(FILE, "")
    if not name:
        return
    sys.modules["uvloop"] = None  # type: ignore[assignment]  # whose turns cannot be seen; uvicorn goes without
    file = Path(name).open("a", buffering=1)  # noqa: SIM115 - as long as the process
    turn = asyncio.Handle._run

    def noted(handle: asyncio.Handle) -> None:
        begun = time.thread_time()
        turn(handle)
        spent = time.thread_time() - begun
        if spent > NOTED:
            file.write(f"{spent:.4f} {handle!r}"[:500].replace("\n", " ") + "\n")

    asyncio.Handle._run = noted  # type: ignore[method-assign]


def longest(file: Path) -> tuple[float, str]:
    """Return the longest turn in seconds, and what it did."""
    turns = (line.partition(" ") for line in file.read_text().splitlines())
    return max(((float(seconds), what) for seconds, _, what in turns), default=(0.0, ""))
