"""What socket and pipe have in common: a listener that accepts channels, and whole messages on each."""

from __future__ import annotations

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


class Listener(Protocol):
    """Where the dock waits for connections."""

    def accept(self) -> Channel:
        """Wait for the next connection of the same user; OSError when it came to nothing."""

    def close(self) -> None:
        """Accept no more connections."""


class Transport(Protocol):
    """A way for two processes of one user to connect."""

    def listen(self, settings: Settings) -> Listener:
        """Begin to accept connections; only the holder of the dock's lock may."""

    def connect(self, settings: Settings) -> Channel:
        """Connect to the dock; OSError where none listens, LaunchError where another user's program does."""
