"""Work on the series of a cohort, several side by side, each outcome as soon as it is known."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TypeAlias

from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.web.hold import Hold

Work: TypeAlias = Callable[[Item], Outcome]
"""Does what a task is for one series. What it raises ends the task: only what no series can go on after."""


def timed(work: Work, item: Item) -> Outcome:
    """Do the work for a series, and note how long it took."""
    started = time.monotonic()
    outcome = work(item)
    return replace(outcome, seconds=time.monotonic() - started)


class Line:
    """The series that wait, by server, each server given no more at a time than it may be asked.

    Parameters
    ----------
    limits : series of a server side by side; a server that is not named has no limit.
    """

    def __init__(self, items: Sequence[Item], limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._busy: Counter[str] = Counter()
        self._holds: dict[str, Hold] = {}
        self._waiting: dict[str, deque[Item]] = {}
        for item in items:
            self._waiting.setdefault(item.server, deque()).append(item)

    def next(self) -> Item | None:
        """Return a series of the server that is asked least; None where all wait for their servers."""
        free = [
            server
            for server, items in self._waiting.items()
            if items
            and (server not in self._limits or self._busy[server] < self._limits[server])
            and not (server in self._holds and self._holds[server].seconds)
        ]
        if not free:
            return None
        server = min(free, key=lambda one: self._busy[one])
        self._busy[server] += 1
        return self._waiting[server].popleft()

    def ended(self, server: str, outcome: Outcome | None = None) -> None:
        """Note that a series of a server is no longer worked on, and what the server asked for meanwhile."""
        self._busy[server] -= 1
        if outcome is not None and outcome.hold:
            self._holds.setdefault(server, Hold()).ask(outcome.hold)

    def wait(self) -> bool:
        """Wait until a server may be asked again; return False where no series waits."""
        held = [self._holds[server].seconds for server, items in self._waiting.items() if items]
        if held:
            time.sleep(min(held))
        return bool(held)


def run_in_threads(
    work: Work,
    items: Sequence[Item],
    workers: int,
    limits: Mapping[str, int],
    cancel: Callable[[], None] = lambda: None,
) -> Generator[Outcome, None, None]:
    """Work on series in threads of this process.

    When the iterator is closed, or a series raises, no further one is begun, and those under way are
    waited for.

    Parameters
    ----------
    workers : series side by side.
    limits : series of a server side by side.
    cancel : called when it ends early, before what is under way is waited for.
    """
    line = Line(items, limits)
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(workers, "cohort") as pool:
        try:
            while True:
                while len(running) < workers and (item := line.next()) is not None:
                    running[pool.submit(timed, work, item)] = item.server
                if not running:
                    if line.wait():
                        continue
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    server, outcome = running.pop(future), future.result()
                    line.ended(server, outcome)
                    yield outcome
        except BaseException:
            cancel()
            raise
