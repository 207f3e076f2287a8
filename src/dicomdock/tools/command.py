"""Run a program on files, in a process group of its own: its lines as progress, its end within bounds."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from dicomdock.errors import ToolError
from dicomdock.tools.marks import MARK, kill_marked, new_mark
from dicomdock.tools.step import Run, Step

TICK = 0.2  # seconds between two looks at the clock and at what was written
PAUSE = 0.02  # seconds between two looks at a program that was asked to end
GRACE = 5.0  # seconds that a program gets to end by itself when it is asked to
LINE = 500  # characters of a line that are shown
LAST = 3  # lines that an error repeats
WAITING = (
    1000  # lines that wait to be shown; a program that says more goes on, and its older lines are left out
)
# What programs need to be found, to find their files and the graphics card, and to speak the user's language.
# Everything else stays here: passwords and tokens are variables too.
_GIVEN = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TEMP|TMP|TZ|LANG|LANGUAGE|LC_\w+|XDG_\w+_(HOME|DIRS)|XDG_RUNTIME_DIR"
    r"|(DY)?LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_(PREFIX|DEFAULT_ENV)|\w+_NUM_THREADS"
    r"|CUDA_\w+|NVIDIA_\w+|(ROCR|HIP|GPU)_\w*(DEVICES?|ORDINAL)|SYSTEMROOT|WINDIR|COMSPEC|PATHEXT|APPDATA"
    r"|LOCALAPPDATA|USERPROFILE|PROGRAMDATA"
)
_ENDS = re.compile(rb"[\r\n]+")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f]")


def run_command(
    command: Sequence[str],
    folder: Path,
    run: Run,
    *,
    most: int,
    environment: Collection[str] = (),
    own_group: bool = True,
) -> Iterator[Step]:
    """Run a program and yield what it says, line by line; when this ends, the program has ended.

    Closing the iterator ends the program and everything that it started: SIGTERM, and SIGKILL after a grace.
    On Linux that holds also for what has left its process group.

    Parameters
    ----------
    command : the program and its arguments; no shell sees them.
    folder : the folder that it works and writes in.
    most : bytes that the folder may hold.
    environment : names of variables that it is given beside those that any program needs.
    own_group : False where the caller's process group is killed as a whole, and the program with it.

    Raises
    ------
    ToolError
        The program is missing, failed, or wrote more than it may.
    TimedOut, Cancelled
        As ``Run.check``.
    """
    given = {**_given(environment), MARK: new_mark()}
    with _started(command, folder, run, given, own_group=own_group) as process:
        lines = _Lines(process.stdout)
        last: deque[str] = deque(maxlen=LAST)
        while not lines.ended:
            run.check()
            _check_size(folder, run, most)
            ended, silent = _has_ended(process), True
            for line in lines.take(TICK):
                silent = False
                last.append(line)
                yield run.step(line)
            if ended and silent:  # what it started may hold its output open for ever
                break
        while not _has_ended(process):  # it has closed its output and goes on
            run.check()
            run.cancelled.wait(TICK)
        _check_size(folder, run, most)
        _end(process, given[MARK], own_group=own_group)
        if process.returncode != 0:
            said = f" It said last: {' / '.join(last)}" if last else ""
            raise ToolError(f"The tool {run.name} failed ({ending(process.returncode)}).{said}")


def _given(names: Collection[str]) -> dict[str, str]:
    """Return the variables that a program is given: those that any needs, and those of these names."""
    return {
        name: value for name, value in os.environ.items() if name in names or _GIVEN.fullmatch(name.upper())
    }


@contextlib.contextmanager
def _started(
    command: Sequence[str], folder: Path, run: Run, given: Mapping[str, str], *, own_group: bool
) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=own_group,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ToolError(
            f"The tool {run.name} cannot be started: {command[0]}: {why}. Check its command, and that it is"
            " installed."
        ) from error
    try:
        yield process
    finally:
        _end(process, given[MARK], own_group=own_group)


class _Lines:
    """The lines of a program, read by a thread, so that whoever waits for one can look at the clock."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream = stream
        self._queue: queue.Queue[str | None] = queue.Queue(WAITING)
        self.ended = False
        threading.Thread(target=self._read, name="tool output", daemon=True).start()

    def take(self, seconds: float) -> Iterator[str]:
        """Yield the lines that are there, the first of them within some seconds."""
        wait: float | None = seconds
        while True:
            try:
                line = self._queue.get(wait is not None, wait)
            except queue.Empty:
                return
            if line is None:
                self.ended = True
                return
            yield line
            wait = None

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError, ValueError):  # the stream is closed when the program is ended
            while chunk := self._stream.read1(65536):  # type: ignore[attr-defined]
                *lines, rest = _ENDS.split(rest + chunk)
                for line in lines:
                    self._add(line)
                if len(rest) > LINE * 8:  # no end of a line in sight
                    self._add(rest)
                    rest = b""
            self._add(rest)
        self._put(None)

    def _add(self, line: bytes) -> None:
        shown = _CONTROL.sub("", line.decode("utf-8", "replace")).strip()[:LINE]
        if shown:
            self._put(shown)

    def _put(self, line: str | None) -> None:
        while True:
            try:
                self._queue.put_nowait(line)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._queue.get_nowait()


def _end(process: subprocess.Popen[bytes], mark: str, *, own_group: bool) -> None:
    """End a program and what it started, and close its output."""
    if process.returncode is not None:
        return  # its number may be another process's by now
    if own_group and sys.platform != "win32":
        deadline = time.monotonic() + GRACE
        if not _has_ended(process):
            os.killpg(process.pid, signal.SIGTERM)
        while not _has_ended(process) and time.monotonic() < deadline:
            time.sleep(PAUSE)
        # Also where it has ended: what it started may go on. The number of the group is its own until it
        # has been waited for.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    kill_marked(mark)
    if process.stdout is not None:
        with contextlib.suppress(OSError):
            process.stdout.close()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a program has ended, without giving its number back where the system can do that."""
    if process.returncode is None and hasattr(os, "waitid"):
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def _check_size(folder: Path, run: Run, most: int) -> None:
    if folder_size(folder) > most:
        raise ToolError(
            f"The tool {run.name} wrote more than {most:,} bytes and was ended; nothing was stored. If it"
            " needs more, set max_output in its declaration."
        )


def folder_size(folder: Path) -> int:
    """Return the bytes of the files in a folder; those that go away meanwhile count for nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118 - many files, often
    return total


def ending(code: int) -> str:
    """Return how a process ended, by its exit code or, where negative, its signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
