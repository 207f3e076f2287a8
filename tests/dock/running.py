"""A dock as the user starts it: a process of its own, in a home of the test's own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from playwright.sync_api import Page

from dicomdock.archive import Archive
from dicomdock.config.preferences import Preferences
from dicomdock.config.settings import Settings
from dicomdock.demo import demo_study
from dicomdock.dock.addresses import OPEN_PREFERENCE
from dicomdock.dock.services.demonstration import NAME
from dicomdock.dock.services.viewer_template import can_fork
from dicomdock.launch.handoff import NotRunning, show
from tests.dock.template import fork
from tests.servers.process import Running, ServerProcess, answers_http

COMMAND = (sys.executable, "-m", "dicomdock.cli")
DEMONSTRATED = "The demonstration study is ready."


@dataclass(frozen=True)
class RunningDock:
    """A running dock.

    Parameters
    ----------
    settings : where its things are.
    port : of its pages.
    process : it.
    """

    settings: Settings
    port: int
    process: ServerProcess

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def link(self, path: str = "/") -> str:
        """Return an address that opens a page once."""
        token = show(self.settings).text.partition("#")[2]
        return f"{self.url}{path}#{token}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process.process is not None
        return self.process.process.pid

    @property
    def log(self) -> str:
        """What it said so far."""
        return self.process.log.read_text()


class _Forked(ServerProcess):
    """A dock that imports nothing anew."""

    def start(self, log: IO[bytes]) -> Running:
        return fork(self.argv[len(COMMAND) :], self.env, log)


def connected(page: Page) -> None:
    """Wait until the page can talk to the dock; nobody's finger is faster, but a test's is."""
    # The entrance, which uses up the link's token and leads on, lets no script be asked.
    page.get_by_test_id("nav-studies").wait_for()
    page.wait_for_function("window.did_handshake === true")


def _port(link: str) -> int:
    return int(link.partition("127.0.0.1:")[2].partition("/")[0])


def make_demonstration(folder: Path) -> None:
    """Make the archive of the demonstration server, which every dock would make anew for some seconds."""
    settings = Settings(folder / "config", folder / "archive", folder / "state", free_space_floor=0)
    with Archive.open(settings) as archive, archive.writer(origin=NAME) as writer:
        for part in demo_study():
            writer.add(part)


def give_demonstration(home: Path, made: Path) -> None:
    """Copy the archive of the demonstration server that ``make_demonstration`` made into a home."""
    shutil.copytree(made / "archive", home / "state" / "demo")


def demonstrating(home: Path, made: Path) -> AbstractContextManager[RunningDock]:
    """Run a dock with the demonstration server that ``make_demonstration`` made."""
    give_demonstration(home, made)
    return running(home, "--demo", env={"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})


@contextmanager
def running(
    home: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    viewer: bool = False,
    anew: bool = False,
) -> Iterator[RunningDock]:
    """Run ``dicomdock run`` while the ``with`` does.

    Parameters
    ----------
    home : where its things are.
    options : of the command.
    env : more of its environment.
    viewer : studies open in the viewer, where it is installed; else as a list, so that no viewer is started.
    anew : start the program itself; else, where the system can, fork one that has imported everything.
    """
    settings = Settings(home / "config", home / "archive", home / "state")
    if not viewer:
        Preferences(settings).set(OPEN_PREFERENCE, "list")

    def ready() -> bool:
        try:
            port = _port(show(settings).text)
        except NotRunning:
            return False
        return answers_http(port) and ("--demo" not in options or DEMONSTRATED in log.read_text())

    log = home.parent / f"{home.name}.log"
    arguments = ["--home", str(home), "run", "--no-browser", "--port", "0", *options]
    how = ServerProcess if anew or not can_fork() else _Forked
    process = how([*COMMAND, *arguments], log=log, ready=ready, env=env)
    with process:
        port = _port(show(settings).text)
        yield RunningDock(replace(settings, port=port), port, process)
