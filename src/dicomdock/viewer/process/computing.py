"""Long computations, in a process of their own: the viewer stays responsive, and they can be stopped.

The process starts with the first computation, waits for the next ones, and ends with the viewer, whose end
closes its standard input.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from typing import Any

from dicomdock.errors import DicomdockError, GeometryError

NICE = 5  # lower than the viewer, which answers the user meanwhile

STOPPED = "Nothing was changed."
ENDED = "The computation ended by itself, perhaps because memory ran out; nothing was changed."


class Stopped(DicomdockError):
    """A computation was stopped, or its process ended."""


class Computer:
    """Runs functions of ``filters``, one at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    async def run(self, name: str, *given: Any, **more: Any) -> Any:
        """Run a function of ``filters``.

        Raises
        ------
        GeometryError
            What was given cannot be used; the words are for the user.
        Stopped
            There is no result; the message says whether the user stopped it.
        """
        self._stopping = False
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        try:
            status, answer = await asyncio.to_thread(_exchange, self._process, (name, given, more))
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            raise Stopped(STOPPED if self._stopping else ENDED) from error
        if status == "error":
            raise GeometryError(answer)
        return answer

    def stop(self) -> None:
        """Stop what runs."""
        self._stopping = True
        if self._process is not None:
            self._process.kill()


def _exchange(process: subprocess.Popen[bytes], order: Any) -> tuple[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    pickle.dump(order, process.stdin, protocol=5)
    process.stdin.flush()
    status: tuple[str, Any] = pickle.load(process.stdout)  # noqa: S301 - our own process
    return status


def main() -> None:
    """Compute what standard input asks for, until it is closed."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is not an answer
    if hasattr(os, "nice"):
        os.nice(NICE)
    from dicomdock.viewer.process import filters

    while True:
        try:
            name, given, more = pickle.load(sys.stdin.buffer)  # noqa: S301 - the viewer
        except EOFError:
            return
        try:
            answer = ("done", getattr(filters, name)(*given, **more))
        except GeometryError as error:
            answer = ("error", str(error))
        except MemoryError:
            answer = ("error", "This machine has not enough memory for that.")
        pickle.dump(answer, answers, protocol=5)
        answers.flush()


if __name__ == "__main__":
    main()
