"""A named pipe for Windows: both sides prove that they can read the user's key file.

Not run on Windows; the tests drive the same code through another kind of connection.
"""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import secrets
from multiprocessing.context import AuthenticationError
from pathlib import Path
from typing import Any

from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.handoff.paths import digest, run_folder
from dicomdock.launch.handoff.transport import MAX_MESSAGE, PATIENCE

_KEY_LENGTH = 32  # bytes


class NamedPipe:
    """Connect through a named pipe.

    Parameters
    ----------
    family : the kind of connection, in the words of ``multiprocessing.connection``.
    address : its name; by default one made of the state folder.
    """

    def __init__(self, family: str = "AF_PIPE", address: str = "") -> None:
        self._family = family
        self._address = address

    def listen(self, settings: Settings) -> PipeListener:
        """Open the pipe."""
        listener = multiprocessing.connection.Listener(
            self._place(settings), self._family, authkey=_key(run_folder(settings), make=True)
        )
        return PipeListener(listener)

    def connect(self, settings: Settings) -> PipeChannel:
        """Connect to the running dock."""
        key = _key(run_folder(settings), make=False)
        try:
            return PipeChannel(
                multiprocessing.connection.Client(self._place(settings), self._family, authkey=key)
            )
        except AuthenticationError:
            raise LaunchError("The dock's pipe belongs to another program; nothing was sent to it.") from None

    def _place(self, settings: Settings) -> str:
        return self._address or rf"\\.\pipe\dicomdock-{digest(settings)}"


class PipeListener:
    """The dock's end of the pipe."""

    def __init__(self, listener: multiprocessing.connection.Listener) -> None:
        self._listener = listener

    def accept(self) -> PipeChannel:
        """Wait for a connection that proves the key."""
        try:
            return PipeChannel(self._listener.accept())
        except (AuthenticationError, EOFError):
            raise ConnectionAbortedError("a connection without the key") from None

    def close(self) -> None:
        """Close the pipe."""
        self._listener.close()


class PipeChannel:
    """One connection; the pipe keeps messages apart. Nothing is ever unpickled."""

    def __init__(self, connection: Any) -> None:  # Connection or PipeConnection, by system
        self._connection = connection

    def send(self, message: bytes) -> None:
        """Send the message."""
        self._connection.send_bytes(message)

    def receive(self, timeout: float = PATIENCE) -> bytes:
        """Wait for one message."""
        if not self._connection.poll(timeout):
            raise TimeoutError("no message in time")
        try:
            return bytes(self._connection.recv_bytes(MAX_MESSAGE))
        except EOFError:
            raise ConnectionResetError("the other side ended before its message did") from None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _key(folder: Path, *, make: bool) -> bytes:
    """Read the key that both sides prove; the dock makes it where there is none, in the user's own folder."""
    file = folder / "dock.key"
    if make:
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secrets.token_bytes(_KEY_LENGTH))
    key = file.read_bytes()
    if len(key) != _KEY_LENGTH:
        file.unlink(missing_ok=True)
        raise ConnectionRefusedError("the key file was damaged, and is made anew by the next dock")
    return key
