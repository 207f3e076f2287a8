"""Threads for the blocking work of the pages, and values that are made when they are first needed."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
# Many may wait for slow servers at once without delaying the archive's answers; idle threads are not made.
WORKERS = 32


class Run(Protocol):
    """Does blocking work elsewhere, so that the event loop goes on."""

    async def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work`` returns."""


class Threads:
    """The worker threads of one dock."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="dock")

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work in a thread and return its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(work, *args, **kwargs))

    def close(self) -> None:
        """Wait for what runs, and begin nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Lazy(Generic[T]):
    """A value that is made when it is first needed; thread-safe.

    Parameters
    ----------
    make : makes it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._made: list[T] = []

    def get(self) -> T:
        """Return the value."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]

    def take(self) -> T | None:
        """Return the value if it was made, and forget it."""
        with self._lock:
            return self._made.pop() if self._made else None
