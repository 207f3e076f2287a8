"""Store one instance while the next is received: hashing and writing run beside the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from types import TracebackType
from typing import Self

from dicomdock.dicom import part10
from dicomdock.dicom.resource import Resource
from dicomdock.sources import Part, head_of, with_head

LIGHT = 1 << 20  # bytes; a larger instance is stored as it comes, so that memory stays bounded
WAITING = 4  # light instances that may wait to be stored


class WriteBehind:
    """Hands parts to a thread of its own, in their order.

    Parameters
    ----------
    store : uses up one part; what it raises is raised by a later ``put`` or at the end of the ``with``.
    """

    def __init__(self, store: Callable[[Part], None]) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(1, "write-behind")
        self._waiting: deque[Future[None]] = deque()

    def put(self, part: Part) -> None:
        """Receive a part whole and have it stored; a heavy one is stored before this returns."""
        held: list[bytes] = []
        size, chunks = 0, part.chunks()
        for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size > LIGHT:
                self._drain()
                self._store(_given(part, chain(held, chunks)))
                return
        self._waiting.append(self._pool.submit(self._store, _given(part, iter(held))))
        if len(self._waiting) > WAITING:
            self._waiting.popleft().result()

    def _drain(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._drain()  # what came whole is stored, also when the stream broke behind it
        finally:
            self._pool.shutdown(wait=True)


def _given(part: Part, chunks: Iterator[bytes]) -> Part:
    return replace(part, opener=lambda: chunks)


def identified(part: Part) -> tuple[Part, Resource | None]:
    """Return a part that can still be read, and the instance that its first bytes name."""
    chunks = part.chunks()
    head = head_of(chunks, part10.HEAD)
    return _given(part, with_head(head, chunks)), part10.identify(head)
