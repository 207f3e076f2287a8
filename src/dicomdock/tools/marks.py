"""Find every process of a run by a variable of its environment, also one that left the run's process group.

Only Linux shows the environment that a process began with; elsewhere nothing is found. A program that clears
its environment is not found either.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from pathlib import Path

MARK = "DICOMDOCK_RUN"
PAUSE = 0.02  # seconds between two looks at the processes
GRACE = 5.0  # seconds after which one that is killed and stays, as it waits for a disk, is left alone


def new_mark() -> str:
    """Return the value of ``MARK`` for a new run; of a run within a run it begins with that one's."""
    return ".".join(filter(None, (os.environ.get(MARK), secrets.token_hex(16))))


def kill_marked(mark: str) -> None:
    """Kill the processes of a run and of the runs within it."""
    deadline = time.monotonic() + GRACE
    while sum(_kill(number, mark) for number in _processes()):  # one of them may just have started another
        if time.monotonic() > deadline:
            return
        time.sleep(PAUSE)


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - names alone
    except OSError:
        return []


def _kill(number: int, mark: str) -> bool:
    """Kill a process if it belongs to a run; return whether it does."""
    try:
        process = os.pidfd_open(number)  # by its number alone another one could be killed in its place
    except (OSError, AttributeError):
        return False
    try:
        variables = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
        marks = (one.removeprefix(f"{MARK}=".encode()) for one in variables if one.startswith(MARK.encode()))
        if not any(f"{one.decode('ascii', 'replace')}.".startswith(f"{mark}.") for one in marks):
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except OSError:  # it has ended, or is another user's
        return False
    finally:
        os.close(process)
    return True
