"""Start a server program, wait until it answers, stop it surely."""

from __future__ import annotations

import http.client
import itertools
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn, Protocol

from tests.waiting import until

START_SECONDS = 120  # a loaded machine starts Orthanc in 10 s
STOP_SECONDS = 60  # Orthanc needs up to 5 s to close its index


# Below the ports that the kernel hands out by itself: nobody connects from them meanwhile. Each process of a
# parallel run goes its own way through them.
_PORTS = itertools.cycle(random.Random(os.getpid()).sample(range(15_000, 32_000), 17_000))


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("the ports do not end")


def answers_http(port: int) -> bool:
    """Return whether an HTTP server answers on the port, whatever it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


class Running(Protocol):
    """A process, as ``subprocess.Popen`` shows it."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return its exit code."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it at once."""


class ServerProcess:
    """A program that runs while the ``with`` does.

    Parameters
    ----------
    argv : the program and its arguments; it must stay in the foreground.
    log : file that takes what it prints.
    ready : asked again and again until it says True.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self.log = log
        self.ready = ready
        self.env = {**os.environ, **(env or {})}
        self.cwd = cwd
        self.process: Running | None = None

    def start(self, log: IO[bytes]) -> Running:
        """Start the program, which prints into the log."""
        # The kernel stops the server when the test run is killed and no fixture can.
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        return subprocess.Popen(
            [*guard, *self.argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.env,
            cwd=self.cwd,
            start_new_session=True,
        )

    def __enter__(self) -> ServerProcess:
        with self.log.open("ab") as log:
            self.process = self.start(log)
        try:
            until(lambda: self.process_ended() or self.ready(), self.argv[0], seconds=START_SECONDS)
        except AssertionError:
            self._fail()
        if self.process_ended():
            self._fail()
        return self

    def process_ended(self) -> bool:
        """Return whether it does not run, or no more."""
        return self.process is None or self.process.poll() is not None

    def _fail(self) -> NoReturn:
        self.__exit__()
        tail = self.log.read_text("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{self.argv[0]} did not start:\n{tail}")

    def __exit__(self, *exception: object) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
