"""Start a process that stands on its own: it outlives us, our terminal and the browser that called us."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dicomdock.config.settings import Settings


def start_detached(
    command: Sequence[str],
    settings: Settings,
    *,
    source: int = subprocess.DEVNULL,
    output: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a command with the settings' home in its environment, in the user's home folder, in its own
    session.

    Parameters
    ----------
    command : program and arguments; no secret among them, for every user of the machine can read them.
    settings : what the process is to work on.
    source, output : file descriptors for its standard streams; nothing by default.

    Raises
    ------
    OSError
        The program cannot be started.
    """
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(
        list(command),
        stdin=source,
        stdout=output,
        stderr=output,
        cwd=Path.home(),
        env=environment_of(settings),
        start_new_session=True,
        creationflags=flags,
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment of a process that works on what these settings name."""
    environment = dict(os.environ)
    if home := home_of(settings):
        environment["DICOMDOCK_HOME"] = str(home)
    return environment


def home_of(settings: Settings) -> Path | None:
    """Return the one folder that all settings lie under, where ``--home`` or ``DICOMDOCK_HOME`` named it."""
    if (settings.config.name, settings.state.name) != ("config", "state"):
        return None
    return settings.config.parent if settings.config.parent == settings.state.parent else None
