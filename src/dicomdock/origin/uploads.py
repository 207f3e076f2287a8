"""Uploads: request bodies, received on the event loop and read by the thread that stores them.

Reading never waits for writing: uploads have threads of their own, and only a few of them work at a time. A
client that sends nothing costs one waiting thread until its time is up.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect

from dicomdock.errors import DicomdockError, Unreachable
from dicomdock.origin.responses import GATHERED

T = TypeVar("T")

MAX_UPLOADS = 128  # at once; more are told to come back
WRITERS = 4  # of them store at the same moment; the others receive
IDLE = 30.0  # seconds until a client that sends nothing is given up
MIN_RATE = 1000.0  # bytes a second over the whole body, beyond IDLE; slower is meant to hold a place
WAITING = 2  # blocks that wait to be stored


@dataclass(frozen=True)
class Uploads:
    """The uploads of one server.

    Parameters
    ----------
    idle : seconds until a client that sends nothing is given up.
    """

    @classmethod
    def shared(cls, processes: int) -> Uploads:
        """Return the part of one of several processes."""
        limiter = anyio.CapacityLimiter(max(1, MAX_UPLOADS // processes))
        return cls(_limiter=limiter, _turns=threading.Semaphore(max(1, WRITERS // processes)))

    idle: float = IDLE
    _limiter: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(MAX_UPLOADS))
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(WRITERS))

    @property
    def full(self) -> bool:
        """So many clients are sending that another one should come back later."""
        return self._limiter.available_tokens < 1

    async def store(self, body: AsyncIterator[bytes], work: Callable[[Iterator[bytes]], T]) -> T:
        """Run work on a body that arrives while it runs.

        Parameters
        ----------
        body : as it comes from the client.
        work : reads the blocks to their end; Unreachable is raised where they stop coming.
        """
        upload = _Upload()
        receiving = asyncio.ensure_future(upload.receive(body, self.idle))

        def run() -> T:
            turn = _Turn(self._turns)
            try:
                return work(turn.yielding(upload.blocks()))
            finally:
                turn.end()

        try:
            # When the server ends, nobody waits for the thread; its blocks end with the next line.
            return await anyio.to_thread.run_sync(run, limiter=self._limiter, abandon_on_cancel=True)
        finally:
            upload.end(Unreachable("The server ends."))
            receiving.cancel()
            with suppress(asyncio.CancelledError):
                await receiving


class _Turn:
    """The turn of one upload to read and store its body.

    Another upload has it while the next block is on its way, and once the body has ended: what is done then
    is mostly to wait for the disk, and those who wait together share a commit.
    """

    def __init__(self, turns: threading.Semaphore) -> None:
        self._turns = turns
        self._held = False

    def yielding(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Return blocks, the turn taken after each of them has come."""
        for block in blocks:
            self._turns.acquire()
            self._held = True
            yield block
            self.end()

    def end(self) -> None:
        """End the turn, if it is held."""
        if self._held:
            self._held = False
            self._turns.release()


class _Upload:
    """A body between the event loop and a thread; few blocks of it are held."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(WAITING)
        self._blocks: queue.SimpleQueue[bytes | DicomdockError] = queue.SimpleQueue()

    async def receive(self, body: AsyncIterator[bytes], idle: float) -> None:
        """Receive the body to its end, or until the client's time is up."""
        try:
            async for block in _gathered(body, idle):
                await self._room.acquire()
                self._blocks.put(block)
            self._blocks.put(b"")
        except ClientDisconnect:
            self.end(Unreachable("The client went away before its request was complete."))
        except TimeoutError:
            self.end(Unreachable("The client stopped sending before its request was complete."))
        except Exception as error:  # noqa: BLE001 - the job boundary: the thread would wait for ever
            self.end(Unreachable(f"The request could not be received: {error}."))

    def end(self, error: DicomdockError) -> None:
        """End the blocks, if they have not ended."""
        self._blocks.put(error)

    def blocks(self) -> Iterator[bytes]:
        """Return the blocks, in the thread that uses them."""
        while True:
            block = self._blocks.get()
            if isinstance(block, DicomdockError):
                raise block
            if not block:
                return
            with suppress(RuntimeError):  # the server has ended meanwhile
                self._loop.call_soon_threadsafe(self._room.release)
            yield block


async def _gathered(body: AsyncIterator[bytes], idle: float) -> AsyncIterator[bytes]:
    """Gather the body to blocks that are worth a change of threads.

    Raises
    ------
    TimeoutError
        Nothing came for too long, or too little in all.
    """
    held: list[bytes] = []
    length = received = 0
    begun = time.monotonic()
    while True:
        left = begun + idle + received / MIN_RATE - time.monotonic()
        try:
            chunk = await asyncio.wait_for(anext(body), min(idle, max(left, 0.0)))
        except StopAsyncIteration:
            break
        held.append(chunk)
        length += len(chunk)
        received += len(chunk)
        if length >= GATHERED:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)
