"""What socket and pipe have in common: a door that lets channels in, and whole messages through each."""

from __future__ import annotations

import sys
from typing import Protocol

from dicomdock.config.settings import Settings

MAX_MESSAGE = 128 * 1024  # bytes; the longest link, when JSON writes six for each of its
PATIENCE = 5.0  # seconds that a started message may take


class Channel(Protocol):
    """One connection between two processes of the same user."""

    def send(self, message: bytes) -> None:
        """Send one message; it holds no line break."""

    def receive(self, timeout: float = PATIENCE) -> bytes:
        """Wait for one message; OSError when none comes whole in time (seconds)."""

    def close(self) -> None:
        """End the connection."""


class Door(Protocol):
    """Where the dock waits for connections."""

    def accept(self) -> Channel:
        """Wait for the next connection of the same user; OSError when it came to nothing."""

    def close(self) -> None:
        """Let nobody in any more."""


class Meeting(Protocol):
    """A way for two processes of one user to meet."""

    def listen(self, settings: Settings) -> Door:
        """Open the door; only the holder of the dock's lock may."""

    def connect(self, settings: Settings) -> Channel:
        """Knock: OSError when nobody is there, LaunchError when it is somebody else."""


def this_system() -> Meeting:
    """Give the way to meet on this system."""
    if sys.platform == "win32":
        from dicomdock.launch.handoff.pipe import NamedPipe

        return NamedPipe()
    from dicomdock.launch.handoff.unix import UnixSocket

    return UnixSocket()
