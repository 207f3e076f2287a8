"""A Unix socket: mode 0600, in a folder of mode 0700, and both sides look who the other is."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from pathlib import Path

from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.handoff.paths import socket_path
from dicomdock.launch.handoff.transport import MAX_MESSAGE, PATIENCE

_BACKLOG = 128
_LOCAL_PEERCRED = 1  # macOS, sys/un.h; gives struct xucred: version, uid, ...


class UnixSocket:
    """Connect through a Unix socket."""

    def listen(self, settings: Settings) -> SocketListener:
        """Open the socket, in place of one that a dock left behind when it was killed."""
        path = socket_path(settings)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(path))
            path.chmod(0o600)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise LaunchError(f"The socket {path} cannot be opened: {error.strerror}.") from error
        return SocketListener(listener, path)

    def connect(self, settings: Settings) -> SocketChannel:
        """Connect to the running dock."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(PATIENCE)
            connection.connect(os.fspath(socket_path(settings)))
            peer = _peer(connection)
        except BaseException:
            connection.close()
            raise
        if peer != os.getuid():
            connection.close()
            raise LaunchError("The dock's socket belongs to another user of this machine; nothing was sent.")
        return SocketChannel(connection)


class SocketListener:
    """The dock's end of the socket."""

    def __init__(self, listener: socket.socket, path: Path) -> None:
        self._listener = listener
        self._path = path

    def accept(self) -> SocketChannel:
        """Wait for a connection; one of another user is closed unread."""
        connection, _ = self._listener.accept()
        if _peer(connection) != os.getuid():
            connection.close()
            raise ConnectionAbortedError("a connection of another user")
        return SocketChannel(connection)

    def close(self) -> None:
        """Remove the socket."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._listener.close()


class SocketChannel:
    """One connection: a message is a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, message: bytes) -> None:
        """Send the message and its line end."""
        self._connection.settimeout(PATIENCE)
        self._connection.sendall(message + b"\n")

    def receive(self, timeout: float = PATIENCE) -> bytes:
        """Read one line."""
        end = time.monotonic() + timeout
        message = bytearray()
        while not message.endswith(b"\n"):
            if len(message) > MAX_MESSAGE:
                raise ConnectionAbortedError("a message that is too long")
            self._connection.settimeout(max(end - time.monotonic(), 0.001))
            piece = self._connection.recv(1 << 16)
            if not piece:
                raise ConnectionResetError("the other side ended before its message did")
            message += piece
        return bytes(message[:-1])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _peer(connection: socket.socket) -> int:
    """Return the user id of the other side."""
    if sys.platform == "darwin":
        credentials = connection.getsockopt(0, _LOCAL_PEERCRED, 76)
        return int(struct.unpack_from("=II", credentials)[1])
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
    return int(struct.unpack("=iII", credentials)[1])
