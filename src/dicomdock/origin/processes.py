"""Several processes that serve one listening socket."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

from dicomdock.errors import DicomdockError
from dicomdock.origin.workers import end_with

log = logging.getLogger(__name__)

Serve = Callable[[socket.socket], None]
YOUNG = 10.0  # seconds; a process that ends sooner would end again
PATIENCE = 10.0  # seconds until a process that was asked to end is killed


def serve_in_processes(count: int, serve: Serve, listener: socket.socket) -> None:
    """Serve a listening socket in several processes until this one is asked to end; then they end too.

    One that dies is replaced.

    Parameters
    ----------
    serve : a function of a module, or a ``partial`` of one, whose arguments can be pickled.

    Raises
    ------
    DicomdockError
        A process ended as soon as it began.
    """
    context = multiprocessing.get_context("spawn")  # what is open here is not theirs
    started: dict[BaseProcess, float] = {}

    def start() -> None:
        process = context.Process(target=_serve, args=(serve, listener, os.getpid()))
        process.start()
        started[process] = time.monotonic()

    previous = signal.signal(signal.SIGTERM, _end)
    try:
        for _ in range(count):
            start()
        while True:
            wait([process.sentinel for process in started])
            for process in [one for one in started if not one.is_alive()]:
                young = time.monotonic() - started.pop(process) < YOUNG
                if young and (process.exitcode or 0) >= 0:  # by itself, not by a signal
                    raise DicomdockError("A process of the server ended as soon as it began.")
                log.warning("A process of the server ended (%s); another one begins", process.exitcode)
                start()
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, previous)
        for process in started:
            process.terminate()
        for process in started:
            process.join(PATIENCE)
            process.kill()


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _serve(serve: Serve, listener: socket.socket, parent: int) -> None:
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    with suppress(KeyboardInterrupt):  # Ctrl-C reaches every process of a terminal
        serve(listener)
