"""A process that has imported all that a viewer needs, and forks a viewer for each request.

Importing 3D Slicer's engine costs two seconds of processor time; a fork of a process that has done so, some
milliseconds, and what was imported is in memory once. The dock keeps one such process
(``dock.services.viewer_template``): ``python -m dicomdock.viewer.template``. It has read no settings and
knows no secret: each fork gets its own, as any viewer, on its standard input.

Requests come through standard input, a Unix socket: four open files (the viewer's standard streams, and
where its process ID and exit code are written, a line each) and the viewer's environment in JSON, of which
the length in 8 bytes comes first. It ends when that socket is closed; the viewers that it forked go on.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import NoReturn

from dicomdock.viewer import __main__ as viewer

LENGTH = struct.Struct("!Q")
FILES = 4  # standard input, output and error; process ID and exit code
PRELOADED = (
    "trame.app",
    "dicomdock.viewer.app",
    "dicomdock.viewer.guard",
    "dicomdock.viewer.shell.ui",
    "numpy.ma",
    "PIL.PngImagePlugin",
    "wslink.backends.aiohttp",
)


def main() -> None:
    """Fork viewers until standard input is closed."""
    viewer.prepare_environment()
    serve(PRELOADED, viewer.main)


def serve(preloaded: Iterable[str], run: Callable[[], int | None]) -> None:
    """Fork a process for each request, until standard input is closed.

    Parameters
    ----------
    preloaded : the modules that are imported first.
    run : what each process does, with standard streams and an environment of its own; returns its exit
        code, None for 0.
    """
    for name in preloaded:
        importlib.import_module(name)
    # The collector would touch, and so copy, what the forks share.
    gc.collect()
    gc.freeze()
    requests = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the dock's to answer
    own = (requests.fileno(), woken, wake)
    children: dict[int, int] = {}  # process ID -> where its exit code is written
    while True:
        readable, _, _ = select.select([requests.fileno(), woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            report_ended(children)
        if requests.fileno() in readable:
            request = receive(requests)
            if request is None:
                return
            files, environment = request
            child = os.fork()
            if child == 0:
                become(run, files, environment, (*own, *children.values()))
            for file in files[:-1]:
                os.close(file)
            children[child] = files[-1]
            report(files[-1], child)


def receive(requests: socket.socket) -> tuple[list[int], dict[str, str]] | None:
    """Wait for a request; None when the dock is gone."""
    head, files, _, _ = socket.recv_fds(requests, LENGTH.size, FILES)
    if not head:
        return None
    head += read(requests, LENGTH.size - len(head))
    return files, json.loads(read(requests, LENGTH.unpack(head)[0]))


def read(requests: socket.socket, length: int) -> bytes:
    """Read bytes of one request, and none of the next: its open files would be lost."""
    found = b""
    while len(found) < length:
        more = requests.recv(length - len(found))
        if not more:
            raise EOFError("the dock ended within a request")
        found += more
    return found


def report_ended(children: dict[int, int]) -> None:
    """Write the exit codes of the viewers that have ended; a signal's number is negative."""
    for child in list(children):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            file = children.pop(child)
            report(file, os.waitstatus_to_exitcode(status))
            os.close(file)


def report(file: int, number: int) -> None:
    """Write a line; a dock that is gone does not read it."""
    with contextlib.suppress(OSError):
        os.write(file, b"%d\n" % number)


def become(
    run: Callable[[], int | None], files: list[int], environment: dict[str, str], foreign: tuple[int, ...]
) -> NoReturn:
    """Do in this process, which was just forked, what it was forked for, and end it.

    Parameters
    ----------
    run : what it does; returns its exit code, None for 0.
    files : its standard streams, and one more that is the template's.
    environment : its environment variables.
    foreign : open files that are the template's.
    """
    code = 1
    raised = True
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(files[:-1]):
            os.dup2(file, number)
        for file in (*files, *foreign):
            os.close(file)
        os.environ.clear()
        os.environ.update(environment)
        code = run() or 0
        raised = False
    finally:
        if raised:
            traceback.print_exc()
        os._exit(code)  # nothing may return into the template's loop


if __name__ == "__main__":
    main()
