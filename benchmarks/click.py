"""From the click on a link to the first request for its study: with the dock running, and with none.

The click is the start of ``dicomdock-open``, which is what the desktop starts; the origin was allowed before.
"""

from __future__ import annotations

import http.server
import itertools
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.servers.process import ServerProcess, answers_http, free_port

from benchmarks.goals import goals_table
from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.launch.handoff import HandoffServer
from dicomdock.launch.handoff.paths import run_folder, socket_path
from dicomdock.launch.trust import TrustStore

ROUNDS, COLD_ROUNDS = 7, 3
RUNNING, COLD, OPENER, PAGE = 0.4, 3.0, 0.12, 1.0  # seconds: the goals
SCRIPTS = Path(sys.executable).parent


class Server(http.server.ThreadingHTTPServer):
    """A server without studies that notes when it is asked for one."""

    daemon_threads = True

    def __init__(self) -> None:
        asked: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()

        class Nothing(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.put((time.perf_counter(), self.path))
                self.send_error(404)

            def log_message(self, *args: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Nothing)
        self.asked = asked
        self.origin = f"http://127.0.0.1:{self.server_port}"

    def first_request(self, study: str, timeout: float = 30) -> float:
        """Wait for the first request that names the study, and tell when it came."""
        while True:
            moment, path = self.asked.get(timeout=timeout)
            if study in path:
                return moment


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def click(server: Server, study: str, environment: dict[str, str]) -> float:
    """Click once; give the seconds until the study was asked for."""
    endpoint = quote(f"{server.origin}/dw", safe="")
    link = f"slicer://viewer/?studyUID={study}&access_token=t&dicomweb_endpoint={endpoint}"
    began = time.perf_counter()
    subprocess.run([SCRIPTS / "dicomdock-open", link], env=environment, check=True)
    return server.first_request(study) - began


def end_dock(settings: Settings) -> None:
    """End the dock that answers, and wait until its place is free."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(socket_path(settings)))
        pid = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    os.kill(pid, signal.SIGTERM)
    lock = FileLock(run_folder(settings) / "dock.lock")
    while not lock.acquire():
        time.sleep(0.02)
    lock.release()


def timed(*command: str | Path, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    return time.perf_counter() - began


def page(home: Path) -> float:
    """Start a dock and give the seconds until its page answers."""
    port = free_port()
    argv = [sys.executable, "-m", "dicomdock.cli", "--home", str(home), "run", "--no-browser"]
    began = time.perf_counter()
    with ServerProcess([*argv, "--port", str(port)], log=home / "run.log", ready=lambda: answers_http(port)):
        return time.perf_counter() - began


def section(folder: Path) -> str:
    """Measure, and give the table."""
    home = folder / "click"
    settings = Settings(home / "config", home / "archive", home / "state")
    # A browser that opens nothing: what it takes to start one is not ours.
    environment = {**os.environ, "HOME": str(folder), "DICOMDOCK_HOME": str(home), "BROWSER": "/bin/true"}
    studies = (f"1.2.3.{number}" for number in itertools.count(1))
    # Nothing but the hand-off answers here: a dock would still work on the clicks before.
    opener = []
    with HandoffServer(settings, str):
        for _ in range(ROUNDS):
            python = timed(sys.executable, "-I", "-c", "pass", environment=environment)
            opener.append(timed(sys.executable, "-I", "-c", _OPENER, environment=environment) - python)
    with serving() as server:
        TrustStore(settings).add(server.origin)
        cold = []
        for _ in range(COLD_ROUNDS):
            cold.append(click(server, next(studies), environment))
            end_dock(settings)
        click(server, next(studies), environment)
        running = [click(server, next(studies), environment) for _ in range(ROUNDS)]
        end_dock(settings)
    measured = {
        "the opener, beyond Python itself, s": (opener, OPENER),
        "click to first request, dock running, s": (running, RUNNING),
        "click to first request, no dock, s": (cold, COLD),
        "dicomdock run until its page answers, s": ([page(home) for _ in range(COLD_ROUNDS)], PAGE),
    }
    return goals_table("Click", measured)


# What the opener loads and does, but with a message that moves nothing in the dock.
_OPENER = (
    "import dicomdock.launch.opener; from dicomdock.launch.handoff import show; "
    "from dicomdock.config.settings import Settings; show(Settings.load())"
)
