"""Uploads: request bodies, received on the event loop and read by the thread that stores them.

Reading never waits for writing: uploads have threads of their own, and only a few of them work at a time. A
client that sends nothing costs one waiting thread until its time is up, or until another one needs its slot.
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

MAX_UPLOADS = 128  # at once; where all of them make progress, others are asked to come back
WRITERS = 4  # of them store at the same moment; the others receive
IDLE = 30.0  # seconds until a client that sends nothing is given up
MIN_RATE = 1000.0  # bytes a second over the whole body, beyond IDLE; slower is meant to hold a place
WAITING = 2  # blocks that wait to be stored
GRACE = 2.0  # seconds that a client may keep us waiting before its slot can go to another one ...
SLOW = 16_000.0  # ... where it sent fewer bytes than this for each of these seconds
LOOK_EVERY = 0.1  # seconds between two looks for a slot


@dataclass(frozen=True)
class Uploads:
    """The uploads of one server.

    Parameters
    ----------
    idle : seconds until a client that sends nothing is given up.
    grace : seconds that a client may keep the server waiting before its slot can go to another one.
    """

    @classmethod
    def shared(cls, processes: int) -> Uploads:
        """Return the part of one of several processes."""
        limiter = anyio.CapacityLimiter(max(1, MAX_UPLOADS // processes))
        return cls(_limiter=limiter, _turns=threading.Semaphore(max(1, WRITERS // processes)))

    idle: float = IDLE
    grace: float = GRACE
    _limiter: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(MAX_UPLOADS))
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(WRITERS))
    _active: set[_Upload] = field(default_factory=set)
    _waiting: set[object] = field(default_factory=set)

    async def admit(self) -> bool:
        """Return whether there is a slot for another upload; ``store`` takes it if it is called at once.

        Where all are taken, the slowest client that keeps the server waiting loses its own; it is waited for
        twice the grace.
        """
        most = int(self._limiter.total_tokens)
        if len(self._waiting) >= most:
            return False
        waiting = object()
        self._waiting.add(waiting)
        try:
            end = time.monotonic() + 2 * self.grace
            while len(self._active) >= most and not self._dismiss():
                if time.monotonic() > end:
                    return False
                await asyncio.sleep(LOOK_EVERY)
        finally:
            self._waiting.discard(waiting)
        return True

    def _dismiss(self) -> bool:
        """End the upload of the slowest client, if there is one that is too slow."""
        slow = [one for one in self._active if one.waited > self.grace and one.rate < SLOW]
        if not slow:
            return False
        slowest = min(slow, key=lambda one: (one.rate, -one.waited))
        self._active.discard(slowest)
        slowest.end(Unreachable("The client sent too slowly while others waited."))
        return True

    async def store(self, body: AsyncIterator[bytes], work: Callable[[Iterator[bytes]], T]) -> T:
        """Run work on a body that arrives while it runs.

        Parameters
        ----------
        body : as it comes from the client.
        work : reads the blocks to their end; Unreachable is raised where they stop coming.
        """
        upload = _Upload()
        self._active.add(upload)
        receiving = asyncio.ensure_future(upload.receive(body, self.idle))

        def run() -> T:
            turn = _Turn(self._turns)
            try:
                return work(turn.yielding(upload.blocks()))
            finally:
                turn.end()

        try:
            await upload.begun.wait()  # here, as a thread that waits has to be woken
            # When the server ends, nobody waits for the thread; its blocks end with the next line.
            return await anyio.to_thread.run_sync(run, limiter=self._limiter, abandon_on_cancel=True)
        finally:
            self._active.discard(upload)
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
        self.begun = asyncio.Event()  # set once the first block, or the end, is there
        self._whole = False  # all blocks are there: nobody waits for room
        self._blocks: queue.SimpleQueue[bytes | DicomdockError] = queue.SimpleQueue()
        self._received = 0
        self._waited = 0.0
        self._since: float | None = None  # when the client began to keep us waiting

    @property
    def waited(self) -> float:
        """Seconds that the client has kept the server waiting, in all."""
        return self._waited + (time.monotonic() - self._since if self._since is not None else 0.0)

    @property
    def rate(self) -> float:
        """Bytes received for each second of waiting."""
        return self._received / max(self.waited, 1e-6)

    async def _observed(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Return the body, and note how long it is waited for."""
        while True:
            self._since = time.monotonic()
            try:
                chunk = await anext(body, None)
            finally:
                self._waited, self._since = self.waited, None
            if chunk is None:
                return
            self._received += len(chunk)
            yield chunk

    async def receive(self, body: AsyncIterator[bytes], idle: float) -> None:
        """Receive the body to its end, or until the client's time is up."""
        try:
            async for block in _gathered(self._observed(body), idle):
                await self._room.acquire()
                self._put(block)
            self._whole = True
            self._put(b"")
        except ClientDisconnect:
            self.end(Unreachable("The client went away before its request was complete."))
        except TimeoutError:
            self.end(Unreachable("The client stopped sending before its request was complete."))
        except Exception as error:  # noqa: BLE001 - the job boundary: the thread would wait for ever
            self.end(Unreachable(f"The request could not be received: {error}."))

    def end(self, error: DicomdockError) -> None:
        """End the blocks, if they have not ended."""
        self._put(error)

    def _put(self, block: bytes | DicomdockError) -> None:
        self._blocks.put(block)
        self.begun.set()

    def blocks(self) -> Iterator[bytes]:
        """Return the blocks, in the thread that uses them."""
        while True:
            block = self._blocks.get()
            if isinstance(block, DicomdockError):
                raise block
            if not block:
                return
            if not self._whole:
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
            async with asyncio.timeout(min(idle, max(left, 0.0))):  # wait_for of 3.11 can lose a cancellation
                chunk = await anext(body)
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
