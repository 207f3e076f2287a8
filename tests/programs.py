"""Start a program beside a test: every wait for it has a limit, and a failure shows all that it printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

LIMIT = 120.0  # seconds: for a program that is stuck, never for one that is slow


class Program:
    """A program that runs while the ``with`` does, and is killed with all that it started at its end.

    Both streams are read by threads, so that it never waits for its reader.

    Parameters
    ----------
    argv : the program and its arguments.
    stdin : what it reads, whole; without it standard input stays open for ``write``.
    limit : seconds that each wait for it may take.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        limit: float = LIMIT,
    ) -> None:
        self.argv = [os.fspath(word) for word in argv]
        self.limit = limit
        self._changed = threading.Condition()
        self._text = {"stdout": "", "stderr": ""}
        self._read = 0  # characters of standard output that were returned by ``line``
        self._process = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._open = {"stdout", "stderr"}
        self._readers = [
            threading.Thread(target=self._follow, args=(name,), daemon=True) for name in self._text
        ]
        for reader in self._readers:
            reader.start()
        if stdin is not None:
            self.write(stdin)
            self.close_stdin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self.close_stdin()
        for reader in self._readers:
            reader.join(self.limit)

    @property
    def stdout(self) -> str:
        """What it printed until now."""
        with self._changed:
            return self._text["stdout"]

    @property
    def stderr(self) -> str:
        """What it reported until now."""
        with self._changed:
            return self._text["stderr"]

    def write(self, text: str) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except BrokenPipeError:
            self.fail("does not read")

    def close_stdin(self) -> None:
        """Let it read the end of its standard input."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def line(self, part: str = "") -> str:
        """Return the next line of standard output that contains a text; lines before it are passed over."""
        found: list[str] = []

        def look() -> bool:
            while "\n" in (rest := self._text["stdout"][self._read :]):
                line = rest.partition("\n")[0]
                self._read += len(line) + 1
                if part in line:
                    found.append(line)
                    return True
            return False

        self._await(look, f"printed no line with {part!r}", while_open="stdout")
        return found[0]

    def json(self) -> Any:
        """Return the next JSON document of standard output, while the program goes on."""
        found: list[Any] = []

        def look() -> bool:
            rest = self._text["stdout"][self._read :]
            begin = len(rest) - len(rest.lstrip())
            try:
                value, end = json.JSONDecoder().raw_decode(rest, begin)
            except ValueError:
                return False
            self._read += end
            found.append(value)
            return True

        self._await(look, "printed no JSON document", while_open="stdout")
        return found[0]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it, and wait until it and what it printed have ended."""
        self._process.kill()
        self.ends()

    def ends(self, seconds: float | None = None) -> int:
        """Wait until it has ended, and return its exit code; all that it printed has been read then."""
        seconds = self.limit if seconds is None else seconds
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"did not end within {seconds:g} s")
        self._await(lambda: not self._open, "has ended, but another process holds its output")
        return code

    def ends_within(self, seconds: float) -> bool:
        """Wait so long for its end at most, and return whether it came."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is not None

    def fail(self, what: str) -> None:
        """Fail the test with all that the program printed."""
        with self._changed:
            out, err = self._text["stdout"], self._text["stderr"]
        code = self._process.poll()
        state = "runs" if code is None else f"exit code {code}"
        words = " ".join(word if len(word) < 200 else word[:200] + "..." for word in self.argv)
        raise AssertionError(f"{words}\n{what} ({state})\n--- stdout\n{out}\n--- stderr\n{err}")

    def _await(self, holds: Callable[[], bool], what: str, while_open: str = "") -> None:
        end, ended = time.monotonic() + self.limit, False
        with self._changed:
            while not holds():
                left = end - time.monotonic()
                if while_open and while_open not in self._open:
                    ended = True
                    break
                if left <= 0:
                    what += f" within {self.limit:g} s"
                    break
                self._changed.wait(left)
            else:
                return
        if ended:
            self.ends_within(1)  # so that its exit code is shown
        self.fail(what)

    def _follow(self, name: str) -> None:
        stream = getattr(self._process, name)
        with stream:
            while data := stream.readline():
                with self._changed:
                    self._text[name] += data
                    self._changed.notify_all()
        with self._changed:
            self._open.discard(name)
            self._changed.notify_all()


def python(code: str, *arguments: str | Path, **options: Any) -> Program:
    """Start a Python program that is given as text; ``options`` are those of ``Program``."""
    return Program([sys.executable, "-c", code, *arguments], **options)
