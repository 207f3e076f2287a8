"""How much memory viewers use, and which of them end when it is too much."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicomdock.rpc import PageState

SHARE = 4  # viewers may use one part in so many of the machine's memory
ASSUMED_MACHINE = 8 << 30  # bytes, where the system does not say
ASSUMED_VIEWER = 600 << 20
PROC = Path("/proc/self/smaps_rollup")
PS_SECONDS = 5.0


@dataclass(frozen=True)
class Usage:
    """A viewer that shows a study.

    Parameters
    ----------
    study : Study Instance UID.
    memory : bytes.
    page : what its page reported last.
    since : when that was, in seconds.
    """

    study: str
    memory: int
    page: PageState
    since: float


def viewers_to_end(viewers: Sequence[Usage], others: int, limit: int) -> list[str]:
    """Return the studies whose viewers must end to stay within the limit.

    Those without a page come first, then those whose page is hidden behind another, the least recently
    looked at of each first; one whose page is in sight never ends.

    Parameters
    ----------
    viewers : that show a study.
    others : bytes that the spare viewer uses.
    limit : bytes.
    """
    used = others + sum(one.memory for one in viewers)
    ended = []
    unseen = [one for one in viewers if one.page != "visible"]
    for one in sorted(unseen, key=lambda one: (one.page == "hidden", one.since)):
        if used <= limit:
            break
        ended.append(one.study)
        used -= one.memory
    return ended


def machine_share() -> int:
    """Return the bytes that viewers may use together by default."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE
    except (AttributeError, ValueError, OSError):
        return ASSUMED_MACHINE // SHARE


def memory_of(pid: int) -> int:
    """Return the bytes that a process uses; on Linux without what it shares with others."""
    try:
        if PROC.exists():
            # Not statm: what a forked viewer shares with its template counts there as its own.
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
            return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))
        listed = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True, timeout=PS_SECONDS
        )
        return int(listed.stdout) << 10
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0 if PROC.exists() else ASSUMED_VIEWER  # it has just ended; or Windows, which has no ps
