"""Workers: processes that decode, so that a broken image or decoder ends one of them and nothing else.

Decoders are C libraries fed with bytes from anywhere. A crash, a hang or a bomb becomes one sentence for the
client.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import ParamSpec, TypeVar

from dicomdock.errors import NotAcceptable

P = ParamSpec("P")
T = TypeVar("T")

PROCESSES = 2
PATIENCE = 60.0  # seconds for one frame or instance
MEMORY_LIMIT = 6 << 30  # bytes of address space of one worker
_ORPHAN_CHECK = 5.0  # seconds


class Workers:
    """A few processes, started when first needed and again after one of them ended badly.

    Parameters
    ----------
    processes : how many work side by side.
    patience : seconds for one frame or instance.
    """

    def __init__(self, processes: int = PROCESSES, *, patience: float = PATIENCE) -> None:
        self._processes, self._patience = processes, patience
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function of a module in a worker and give what it gives, or raise what it raises.

        Blocks; thread-safe.

        Raises
        ------
        NotAcceptable
            The worker crashed or took too long.
        """
        pool = self._get()
        try:
            return pool.submit(_limited, self._patience, function, args, kwargs).result()
        except BrokenProcessPool as error:
            self._drop(pool)
            raise NotAcceptable(
                "The pixel data cannot be decoded: the decoder failed on it or took too long.", status=406
            ) from error

    def close(self) -> None:
        """End the processes; those in the middle of something finish it first."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _get(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # Not forked: the parent has threads and an event loop.
                self._pool = ProcessPoolExecutor(
                    self._processes,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_prepare,
                    initargs=(os.getpid(),),
                )
            return self._pool

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)


def _limited(
    patience: float, function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]
) -> T:
    with Path(os.devnull).open("w") as nowhere:
        # A watchdog in C: it ends the process also in the middle of C code, on every system.
        faulthandler.dump_traceback_later(patience, exit=True, file=nowhere)
        try:
            return function(*args, **kwargs)
        except MemoryError as error:
            raise NotAcceptable("The pixel data are too large to be decoded.", status=406) from error
        finally:
            faulthandler.cancel_dump_traceback_later()


def _prepare(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us in order
    if sys.platform != "win32":  # which has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # what pydicom thinks of an instance is of no use to anybody here
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()


def end_with(parent: int) -> None:
    """End this process when the parent is gone without notice."""
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK)
    os._exit(0)
