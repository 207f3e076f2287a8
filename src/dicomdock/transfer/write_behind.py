"""Store one instance while the next is received: hashing and writing run beside the network."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from dicomdock.dicom import part10
from dicomdock.dicom.resource import Resource
from dicomdock.sources import Part, head_of, with_head

LIGHT = 1 << 20  # bytes; a larger instance is stored as it comes, so that memory stays bounded
SHARE = 1 << 16  # bytes that one share of the memory is for; a small instance takes one, too
SHARES = 64  # of the instances that wait to be stored: four of a megabyte, or 64 small ones


class WriteBehind:
    """Passes parts to a thread of its own, in their order.

    Parameters
    ----------
    store : uses up one part; what it raises is raised by a later ``put`` or at the end of the ``with``.
    """

    def __init__(self, store: Callable[[Part], None]) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(1, "write-behind")
        # A future for each of many small instances would cost as much as to receive it.
        self._waiting: SimpleQueue[tuple[Part, int] | None] = SimpleQueue()
        self._released: SimpleQueue[int] = SimpleQueue()
        self._free = SHARES  # of which the receiving thread knows
        self._failure: BaseException | None = None
        self._worker: Future[None] | None = None

    def put(self, part: Part) -> None:
        """Receive a part whole and have it stored; a heavy one is stored before this returns."""
        held: list[bytes] = []
        size, chunks = 0, part.chunks()
        for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size > LIGHT:
                self._drain()
                self._store(part.with_opener(lambda: chain(held, chunks)))
                return
        self._raise_failure()
        if self._worker is None:
            self._worker = self._pool.submit(self._work)
        item = part.with_opener(held.__iter__), 1 + size // SHARE
        self._wait_for(item[1])
        self._free -= item[1]
        self._waiting.put(item)

    def _work(self) -> None:
        """Store what waits, until there is nothing more to come; what fails does not keep back the rest."""
        while (item := self._waiting.get()) is not None:
            part, shares = item
            try:
                self._store(part)
            except BaseException as error:  # noqa: BLE001 - the job boundary: raised by put and at the end
                if self._failure is None:
                    self._failure = error
            self._released.put(shares)

    def _wait_for(self, shares: int) -> None:
        """Wait until so many shares are free."""
        while self._free < shares:
            self._free += self._released.get()

    def _drain(self) -> None:
        """Wait until everything is stored."""
        self._wait_for(SHARES)
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._drain()  # what came whole is stored, also when the stream broke behind it
        finally:
            self._waiting.put(None)
            self._pool.shutdown(wait=True)


def identified(part: Part) -> tuple[Part, Resource | None]:
    """Return a part that can still be read, and the instance that its first bytes name."""
    chunks = part.chunks()
    head = head_of(chunks, part10.HEAD)
    return part.with_opener(lambda: with_head(head, chunks)), part10.identify(head)
