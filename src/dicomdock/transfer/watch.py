"""Run blocking work in a thread while its progress is handed on; closing the generator cancels the work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from dicomdock.errors import Cancelled, StoreError
from dicomdock.sources import Part
from dicomdock.transfer.progress import Progress, ProgressTracker

T = TypeVar("T")
U = TypeVar("U")


class _End:
    """What comes after the last item."""


END = _End()
INTERVAL = 0.1  # seconds between two reports; ten a second look smooth and cost nothing


class Stop:
    """A flag that the owner raises and the workers look at."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Request every worker to end."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Return whether the workers should end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the workers should end; return whether they should."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise Cancelled when the workers should end."""
        if self._event.is_set():
            raise Cancelled("The transfer was cancelled; what had arrived stays in the archive.")


def watch(
    work: Callable[[Stop], None], tracker: ProgressTracker, on_cancel: Callable[[], None] | None = None
) -> Generator[Progress]:
    """Run ``work`` in a thread and yield the tracker's progress until it ends.

    Closing the generator asks the work to stop and waits for it, so that nothing writes after the close; an
    interrupt (Ctrl-C) does the same.

    Parameters
    ----------
    on_cancel : called when the work is to stop early, before it is waited for.

    Raises
    ------
    Exception
        Whatever the work raised.
    """
    stop, ended = Stop(), threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 - the job boundary: handed to the caller below
            raised.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="transfer", daemon=True)
    thread.start()
    try:
        while not ended.wait(INTERVAL):
            yield tracker.progress()
    finally:
        stop.request()
        if on_cancel is not None and not ended.is_set():
            on_cancel()
        thread.join()
    if raised:
        raise raised[0]
    yield tracker.progress()


def bounded_map(
    pool: ThreadPoolExecutor, workers: int, job: Callable[[T], None], items: Iterable[T], stop: Stop
) -> None:
    """Run the job for every item, so many side by side; the first error stops the rest and is raised.

    A few workers share the iterator, because a future for each of 100,000 instances would fill the memory.
    """
    iterator, lock = iter(items), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                item = next(iterator, END)
            if isinstance(item, _End):
                return
            stop.check()
            job(item)

    futures = [pool.submit(work) for _ in range(workers)]
    wait(futures, return_when=FIRST_EXCEPTION)
    if any(future.done() and future.exception() for future in futures):
        stop.request()
    wait(futures)
    errors = [error for future in futures if (error := future.exception())]
    if errors:
        raise next((error for error in errors if not isinstance(error, Cancelled)), errors[0])


def ahead(
    pool: ThreadPoolExecutor, number: int, job: Callable[[T], U], items: Iterable[T]
) -> Iterator[tuple[T, Future[U]]]:
    """Yield each item with the result of its job to come; so many jobs are begun before their turn."""
    begun: deque[tuple[T, Future[U]]] = deque()
    for item in items:
        begun.append((item, pool.submit(job, item)))
        if len(begun) > number:
            yield begun.popleft()
    yield from begun


def metered(part: Part, tracker: ProgressTracker, stop: Stop) -> Part:
    """Return the part with its bytes counted as they pass, and cut short when the transfer is cancelled.

    A file that cannot be read ends the transfer with StoreError: half of it may be on the wire already.
    """

    def opener() -> Iterator[bytes]:
        try:
            for chunk in part.chunks():
                stop.check()
                tracker.moved(len(chunk))
                yield chunk
        except OSError as error:
            raise StoreError(f"{part.path} cannot be read: {error.strerror or error}.") from error

    return part.with_opener(opener)


def consume(progress: Iterable[Progress]) -> None:
    """Run a transfer whose progress nobody looks at."""
    for _ in progress:
        pass
