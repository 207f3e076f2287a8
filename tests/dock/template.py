"""What forks the docks of the tests: a process that has done the imports, a second of each start.

``python -m tests.dock.template`` does for docks what ``dicomdock.viewer.template`` does for viewers, in the
same way. Apart from its imports such a dock is what ``dicomdock run`` starts, with an environment, a session
and files of its own.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import IO

from dicomdock.dock.services.viewer_template import Process, ViewerTemplate
from dicomdock.viewer import template
from tests.dock.heartbeat import note_turns
from tests.waiting import until

TEMPLATE = "tests.dock.template"
ARGUMENTS = "DICOMDOCK_TEST_ARGUMENTS"
PR_SET_PDEATHSIG = 1
PRELOADED = (
    "dicomdock.cli",
    "dicomdock.cli.service",
    "dicomdock.dock.run",
    "dicomdock.archive.verification",
    "dicomdock.imaging.codecs",
    "nicegui.ui",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)


class ForkedDock:
    """A dock that was forked, as ``subprocess.Popen`` shows a process.

    Parameters
    ----------
    process : as the template gives it.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        for unused in (process.stdin, process.stdout):
            assert unused is not None
            unused.close()
        self.poll = process.poll
        self.wait = process.wait
        self.kill = process.kill

    @property
    def pid(self) -> int:
        """The process ID, as soon as there is one."""
        until(lambda: self._process.pid or self._process.poll() is not None, "the fork of a dock")
        return self._process.pid

    def terminate(self) -> None:
        """Ask it to end."""
        if self.pid and self.poll() is None:
            with suppress(ProcessLookupError):  # the template has not said yet that it was killed
                os.kill(self.pid, signal.SIGTERM)


@cache
def _template() -> ViewerTemplate:
    """The one of this process, which ends with it."""
    made = ViewerTemplate(TEMPLATE)
    atexit.register(made.close)
    return made


def fork(arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> ForkedDock:
    """Run ``dicomdock ARGUMENTS`` in a fork; what it prints goes to the log."""
    return ForkedDock(_template().start({**environment, ARGUMENTS: json.dumps(list(arguments))}, log))


def run_command() -> int:
    """Be the command that the environment asks for; return its exit code."""
    from dicomdock.cli import main

    # The template ends with the tests that started it, however they do; so does what it forked.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    arguments = json.loads(os.environ.pop(ARGUMENTS))
    sys.argv = ["dicomdock", *arguments]
    note_turns()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main(arguments)
    finally:
        sys.stdout.flush()


if __name__ == "__main__":
    template.serve(PRELOADED, run_command)
