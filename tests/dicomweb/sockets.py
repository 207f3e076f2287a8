"""A server of bare sockets: what a test does with each connection is all that happens on it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.waiting import join


class Connection:
    """One accepted connection."""

    def __init__(self, sock: socket.socket, line: Line) -> None:
        self.sock = sock
        self._line = line
        self._stream = sock.makefile("rb")

    def request(self) -> bytes:
        """Read one request, with its body where it has a length; empty when the client hung up."""
        head = self.head()
        length = next(
            (
                int(row.split(b":")[1])
                for row in head.split(b"\r\n")
                if row.lower().startswith(b"content-length:")
            ),
            0,
        )
        body = self._stream.read(length)
        if head:
            self._line.asked.append(head + body)
        return head + body

    def head(self) -> bytes:
        """Read the head of a request."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            row = self._stream.readline()
            if not row:
                return b""
            head += row
        return head

    def say(
        self, status: str = "200 OK", body: bytes = b"", *headers: str, length: int | None = None
    ) -> None:
        """Answer; another ``length`` than the body's is a lie, -1 none at all."""
        length = len(body) if length is None else length
        rows = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {length}"] if length >= 0 else [])]
        self.sock.sendall("\r\n".join(rows).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """Hang up rudely."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def hung_up(self) -> bool:
        """Wait until the client has closed."""
        with suppress(OSError):
            while self.sock.recv(1 << 16):
                pass
        return True


@dataclass
class Line:
    """A running server: its address, the requests it read, and how many connections were made."""

    url: str
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0
    errors: list[BaseException] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def listening(*scripts: Callable[[Connection], object]) -> Iterator[Line]:
    """Run a server on loopback; the first connection gets the first script, the last script all others."""
    listener = socket.create_server(("127.0.0.1", 0))
    line = Line(f"http://127.0.0.1:{listener.getsockname()[1]}/dicom-web")
    threads: list[threading.Thread] = []
    open_sockets: list[socket.socket] = []

    def serve(sock: socket.socket, script: Callable[[Connection], object]) -> None:
        with sock:
            connection = Connection(sock, line)
            try:
                script(connection)
            except OSError:
                pass  # clients that hang up are part of the tests
            except BaseException as error:
                line.errors.append(error)
            finally:
                connection._stream.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            script = scripts[min(line.connections, len(scripts) - 1)]
            line.connections += 1
            open_sockets.append(sock)
            threads.append(threading.Thread(target=serve, args=(sock, script), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield line
    finally:
        line.ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        join(accepting)
        for sock in open_sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            join(thread)
    assert not line.errors
