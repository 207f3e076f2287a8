"""Children: processes that run a user's function, so that one that hangs, or is killed, is one failed series.

A child is asked by lines of JSON on its standard input and answers by lines on its standard output. It lives
for many series; one that took too long, or ended, is replaced for the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self, cast

from dicomdock.errors import Cancelled, InvalidInput
from dicomdock.tools.command import ending
from dicomdock.tools.marks import MARK, kill_marked, new_mark

START = 120.0  # seconds until a child has imported what it needs; only what is stuck takes so long
GRACE = 5.0  # seconds that a child gets to end by itself


@dataclass(frozen=True, slots=True)
class Lost:
    """A child gave no answer, and why."""

    reason: str


class Child:
    """One process. Use it from one thread at a time.

    Parameters
    ----------
    command : the program and its arguments.
    first : what it receives at the beginning; its answer is ``greeting``.

    Raises
    ------
    InvalidInput
        It refuses to begin: the function cannot be imported.
    """

    def __init__(self, command: Sequence[str], first: Mapping[str, Any]) -> None:
        self._mark = new_mark()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, MARK: self._mark},
        )
        self._expired = False
        answer = self.ask(first, START)
        if isinstance(answer, Lost) or "error" in answer:
            self.kill()
            raise InvalidInput(answer.reason if isinstance(answer, Lost) else str(answer["error"]))
        self.greeting: Mapping[str, Any] = answer

    @property
    def alive(self) -> bool:
        """Return whether it can be asked."""
        return self._process.poll() is None

    def ask(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any] | Lost:
        """Send a message and return the answer.

        Parameters
        ----------
        seconds : until the child is killed.
        """
        writer = cast("IO[bytes]", self._process.stdin)
        reader = cast("IO[bytes]", self._process.stdout)
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            writer.write(json.dumps(message).encode() + b"\n")
            writer.flush()
            line = reader.readline()
        except OSError:
            line = b""
        finally:
            timer.cancel()
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if self._expired else GRACE)
        self.kill()
        if self._expired:
            return Lost(f"It took longer than {seconds:g} seconds.")
        return Lost(f"Its process ended: {ending(self._process.returncode)}.")

    def close(self) -> None:
        """Let the process end."""
        with contextlib.suppress(OSError):
            cast("IO[bytes]", self._process.stdin).close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self.kill()

    def kill(self) -> None:
        """End the process, and what it has started."""
        self._signal()
        self._process.wait()
        kill_marked(self._mark)
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast("IO[bytes]", stream).close()

    def _expire(self) -> None:
        self._expired = True
        self._signal()

    def _signal(self) -> None:
        if self._process.returncode is not None:  # its number may be another process's by now
            return
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


class Children:
    """As many children as there are threads that ask; safe to use from all of them.

    Parameters
    ----------
    command, first : of each child.
    """

    def __init__(self, command: Sequence[str], first: Mapping[str, Any]) -> None:
        self._command, self._first = command, first
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._closed = False

    def greeting(self) -> Mapping[str, Any]:
        """Return what a child says of itself when it begins.

        Raises
        ------
        InvalidInput
            It refuses to begin.
        """
        child = self._take()
        self._give_back(child)
        return child.greeting

    def ask(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any] | Lost:
        """Ask a child that is idle, or a new one.

        Raises
        ------
        Cancelled
            They were closed.
        InvalidInput
            A new one refuses to begin.
        """
        child = self._take()
        try:
            answer = child.ask(message, seconds)
        finally:
            self._give_back(child)
        if self._closed and isinstance(answer, Lost):
            raise Cancelled("The run was cancelled.")
        return answer

    def stop(self) -> None:
        """Kill all children, also those that are asked."""
        with self._lock:
            self._closed = True
            busy, self._idle, idle = [*self._busy], [], [*self._idle]
        for child in (*busy, *idle):
            child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()

    def _take(self) -> Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    self._busy.add(child)
                    return child
                child.kill()
        child = Child(self._command, self._first)
        with self._lock:
            if not self._closed:
                self._busy.add(child)
                return child
        child.kill()
        raise Cancelled("The run was cancelled.")

    def _give_back(self, child: Child) -> None:
        with self._lock:
            self._busy.discard(child)
            if child.alive and not self._closed:
                self._idle.append(child)
                return
        child.kill()
