"""What forks viewers: a process that has imported 3D Slicer's engine already (``dicomdock.viewer.template``).

A viewer that is forked is there in a tenth of the time of one that is started anew, and shares the memory of
what was imported. Where that is not possible (not Linux, or the template has crashed), viewers are started
anew; both are used in the same way.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Protocol

VIEWER = "dicomdock.viewer"
TEMPLATE = "dicomdock.viewer.template"
LENGTH = struct.Struct("!Q")
UNKNOWN_CODE = -signal.SIGKILL  # of a viewer whose template is gone


class Process(Protocol):
    """A viewer's process: a part of what ``subprocess.Popen`` offers."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    @property
    def pid(self) -> int:
        """The process ID; 0 while it is not known."""

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; ``subprocess.TimeoutExpired`` after the time."""

    def kill(self) -> None:
        """End it at once."""


class ViewerTemplate:
    """Starts viewers, on Linux by forking one process, which it starts for the first. Thread-safe.

    Parameters
    ----------
    module : what that process runs.
    """

    def __init__(self, module: str = TEMPLATE) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._closed = False

    def start(self, environment: Mapping[str, str], journal: IO[bytes]) -> Process:
        """Start a viewer; returns before it runs.

        Parameters
        ----------
        environment : its environment variables.
        journal : gets what it writes to standard error.
        """
        if can_fork():
            with self._lock, contextlib.suppress(OSError):
                if self._process is None or self._process.poll() is not None:
                    self._start(environment, journal)
                return self._fork(environment, journal)
        return start_anew(environment, journal)

    def close(self) -> None:
        """End the process that forks; viewers go on, but their exit codes are not known."""
        with self._lock:
            self._closed = True
            if self._socket is not None:
                self._socket.close()
            if self._process is not None:
                self._process.kill()  # it has nothing to save, and may be in the middle of importing
                self._process.wait()

    # Inner

    def _start(self, environment: Mapping[str, str], journal: IO[bytes]) -> None:
        if self._closed:
            raise BrokenPipeError
        if self._socket is not None:
            self._socket.close()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                stdin=theirs.fileno(),
                stdout=journal,
                stderr=journal,
                env=dict(environment),
                start_new_session=True,
            )

    def _fork(self, environment: Mapping[str, str], journal: IO[bytes]) -> ForkedProcess:
        assert self._socket is not None
        text = json.dumps(dict(environment)).encode()
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            orders, stdin = os.pipe()
            stdout, events = os.pipe()
            status, ending = os.pipe()
            for file in (orders, events, ending):
                theirs.callback(os.close, file)
            for file in (stdin, stdout, status):
                ours.callback(os.close, file)
            files = [orders, events, journal.fileno(), ending]
            sent = socket.send_fds(self._socket, [LENGTH.pack(len(text))], files)
            self._socket.sendall(LENGTH.pack(len(text))[sent:] + text)
            ours.pop_all()
        return ForkedProcess(stdin, stdout, status)


class ForkedProcess:
    """A viewer that a template forks.

    Parameters
    ----------
    stdin, stdout : pipes to and from it.
    status : a pipe on which the template writes its process ID and then its exit code, a line each.
    """

    def __init__(self, stdin: int, stdout: int, status: int) -> None:
        self.stdin: IO[bytes] | None = os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(stdout, "rb")
        self._pid = 0
        self._pidfd = -1
        self._code: int | None = None
        self._killed = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, args=(status,), name="viewer process", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process ID; 0 while it is not known."""
        return self._pid

    def poll(self) -> int | None:
        """Return the exit code; None while it runs, or is about to."""
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises
        ------
        subprocess.TimeoutExpired
            It runs longer.
        """
        if not self._ended.wait(timeout) or self._code is None:
            raise subprocess.TimeoutExpired(VIEWER, timeout or 0.0)
        return self._code

    def kill(self) -> None:
        """End it at once, or as soon as it begins."""
        with self._lock:
            self._killed = True
            self._kill()

    # Inner

    def _kill(self) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _watch(self, status: int) -> None:
        with os.fdopen(status, "rb") as lines:
            begun = lines.readline()
            with self._lock:
                if begun:
                    with contextlib.suppress(ProcessLookupError):
                        self._pidfd = os.pidfd_open(int(begun))
                    self._pid = int(begun)
                if self._killed:
                    self._kill()
            code = lines.readline()
        if not code and self._pidfd >= 0:
            # The template is gone, and with it the exit code; the viewer goes on.
            end = select.poll()
            end.register(self._pidfd, select.POLLIN)
            end.poll()
        with self._lock:
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1
            self._code = int(code) if code else UNKNOWN_CODE
        self._ended.set()


def can_fork() -> bool:
    """Return whether this system forks safely, and lets a process that is not a child be watched."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # a sandbox does not allow it
        return False
    return True


def start_anew(environment: Mapping[str, str], journal: IO[bytes]) -> Process:
    """Start a viewer that imports everything itself."""
    return subprocess.Popen(
        [sys.executable, "-m", VIEWER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=journal,
        env=dict(environment),
        start_new_session=os.name == "posix",
    )
