"""Responses: answers that are streamed, multipart bodies, and errors as one sentence.

Bodies are made by sync generators, as everything below this package is. A generator is advanced in a thread,
one step ahead of what is being sent, and never further: memory stays constant however slow the client is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dicomdock.errors import DicomdockError, WireError
from dicomdock.sources import DicomJson, Part

T = TypeVar("T")
log = logging.getLogger(__name__)

CHARACTER_SET = "00080005"
UTF_8: DicomJson = {"vr": "CS", "Value": ["ISO_IR 192"]}
"""Specific Character Set of every answer: the DICOM JSON model is UTF-8 (PS3.18 §F.2.1)."""
GATHERED = 1 << 20  # bytes sent at once; smaller pieces cost more in thread changes than they save in memory
SMALLEST = 1 << 16  # bytes sent at once where very many clients are served
SHORT = 1 << 17  # bytes that are made in one visit to a thread and sent at once
BUDGET = 1 << 25  # bytes that wait to be sent to all clients together
MAX_NAMES, MAX_NAME = 10, 60  # parameters that a warning names, and their letters
_COMMON = frozenset({"accept", "charset"})  # of every transaction (PS3.18 §8.3.3)
STALLED = 60.0  # seconds until a client that takes nothing is given up


def problem(error: DicomdockError) -> Response:
    """Answer with an error's sentence."""
    headers = {"Retry-After": "2"} if error.http_status == 503 else None
    return sentence(str(error), error.http_status, headers)


def sentence(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with one sentence of plain text."""
    # As plain text that no browser may take for a page: the sentence can quote what the client sent.
    safe = {"X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(text + "\n", status, safe, media_type="text/plain")


def too_many_clients() -> Response:
    """Answer a client that would send a body while as many as are served at once send theirs."""
    return sentence("Too many clients are storing; try again.", 503, {"Retry-After": "10"})


async def in_thread(function: Callable[[], T]) -> T:
    """Run blocking work in a thread."""
    # A pool of our own would save 65 us an answer, but wakes another thread each time, and each keeps memory.
    return await anyio.to_thread.run_sync(function)


def warning_header(warnings: Iterable[str]) -> dict[str, str]:
    """Return warnings about an answer as a Warning header (PS3.18 §8.3.4.2); empty for none."""
    values = [f'299 dicomdock "{_quotable(text)}"' for text in warnings]
    return {"Warning": ", ".join(values)} if values else {}


def unread_parameters(names: Iterable[str]) -> tuple[str, ...]:
    """Return the warning of parameters that were passed over (PS3.18 §8.3.4.1); none where there are none."""
    unread = [name[:MAX_NAME] for name in names if name not in _COMMON]
    return (f"Not supported, and passed over: {', '.join(unread[:MAX_NAMES])}.",) if unread else ()


def _quotable(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(plain.replace("\\", "/").replace('"', "'").encode("ascii", "replace").decode().split())


class Flow:
    """How much is sent at once to the clients of one server: the less, the more of them there are.

    A client that stalls holds what is being sent, what comes next, and what its connection buffers.

    Parameters
    ----------
    processes : that serve side by side.
    """

    def __init__(self, processes: int = 1) -> None:
        self._clients = 0
        self._budget = BUDGET // processes

    @property
    def piece(self) -> int:
        """Bytes to read and send at once."""
        return max(SMALLEST, min(GATHERED, self._budget // (4 * max(self._clients, 1))))

    @contextmanager
    def client(self) -> Iterator[None]:
        """Count one more client; on the event loop only."""
        self._clients += 1
        try:
            yield
        finally:
            self._clients -= 1


def gathered(chunks: Iterable[bytes], flow: Flow | None = None) -> Iterator[bytes]:
    """Join small chunks to larger ones: as large as the flow lets them be, or a few kilobytes."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        size = flow.piece if flow else SMALLEST
        if len(chunk) >= size // 8:  # large enough to go as it is, without another copy
            if held:
                yield b"".join(held)
                held, length = [], 0
            yield chunk
            continue
        held.append(chunk)
        length += len(chunk)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


class Multipart:
    """A ``multipart/related`` body of parts, in their order.

    Parameters
    ----------
    parts : a list where all are known beforehand, so that the length can be stated; any iterator otherwise.
    media_type : what the parts are.
    flow : how much of a file is read at once.
    """

    def __init__(self, parts: Iterable[Part], media_type: str, flow: Flow | None = None) -> None:
        self._parts = parts
        self._flow = flow or Flow()
        # Simple and unquoted: some clients take the quotes for a part of it.
        self._boundary = f"dicomdock{uuid.uuid4().hex}"
        self.content_type = f'multipart/related; type="{media_type}"; boundary={self._boundary}'

    @property
    def length(self) -> int | None:
        """Bytes of the whole body, where every part's length is known."""
        if not isinstance(self._parts, Sequence):
            return None
        total = len(self._end)
        for part in self._parts:
            if part.length is None:
                return None
            total += len(self._head(part)) + part.length + 2
        return total

    @property
    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()

    def _head(self, part: Part) -> bytes:
        lines = [f"--{self._boundary}", f"Content-Type: {part.content_type}"]
        if part.length is not None:
            lines.append(f"Content-Length: {part.length}")
        if location := part.headers.get("content-location"):
            lines.append(f"Content-Location: {location}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def chunks(self) -> Iterator[bytes]:
        """Return the body.

        Raises
        ------
        WireError
            A part is not as long as it was stated to be.
        """
        for part in self._parts:
            yield self._head(part)
            yield from whole(part, self._flow)
            yield b"\r\n"
        yield self._end


def whole(part: Part, flow: Flow) -> Iterator[bytes]:
    """Return a part's body, and check that it is as long as it was stated to be."""
    count = 0
    for chunk in part.chunks() if part.path is None else _pieces(part.path, flow):
        count += len(chunk)
        yield chunk
    if part.length not in (None, count):
        raise WireError(f"{part.resource or 'A part'} has {count} bytes now, not {part.length}.")


def _pieces(path: Path, flow: Flow) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size or 1  # more would be taken from the system and given back
        while piece := file.read(min(flow.piece, size)):
            yield piece


class Streamed(Response):
    """A body that is made while it is sent.

    A failure in the middle ends the connection without a regular end, so that the client sees it; no
    status can say so any more.

    Parameters
    ----------
    chunks : the body.
    media_type : of it.
    length : bytes, where known; the connection can then be used again.
    flow : how much is sent at once.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        media_type: str,
        *,
        length: int | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        flow: Flow | None = None,
    ) -> None:
        self._chunks = iter(chunks)
        self._flow = flow or Flow()
        self.status_code = status
        self.background = None
        self.body = b""
        self.init_headers({"Content-Type": media_type, **(headers or {})})
        del self.headers["content-length"]
        if length is not None:
            self.headers["content-length"] = str(length)

    @classmethod
    def started(
        cls,
        chunks: Iterable[bytes],
        media_type: str,
        *,
        length: int | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        flow: Flow | None = None,
    ) -> Response:
        """Make the beginning of a body before anything is sent, in the thread that calls this.

        What fails at once gets a proper answer so, and a short body goes out without another change of
        threads.
        """
        pieces = iter(chunks)
        if length is not None and length > SHORT:
            return cls(pieces, media_type, length=length, status=status, headers=headers, flow=flow)
        first: list[bytes] = []
        size = 0
        for piece in pieces:
            first.append(piece)
            size += len(piece)
            if size > SHORT:
                chunks = _chained(first, pieces)
                return cls(chunks, media_type, length=length, status=status, headers=headers, flow=flow)
        return Response(b"".join(first), status, headers={"Content-Type": media_type, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._flow.client():
            await self._send(scope, receive, send)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        gone = asyncio.ensure_future(_disconnected(receive))
        ahead: asyncio.Future[Sequence[bytes]] | None = None
        try:
            if scope["method"] != "HEAD":
                ahead = asyncio.ensure_future(self._next())
                while (chunks := await ahead) and not gone.done():
                    ahead = asyncio.ensure_future(self._next())
                    for chunk in chunks:
                        with anyio.fail_after(STALLED):
                            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.warning("An answer was cut short: its client took nothing for %g s", STALLED)
        except (DicomdockError, OSError) as error:
            log.warning("An answer was cut short: %s", error)
        finally:
            gone.cancel()
            with anyio.CancelScope(shield=True):
                if ahead is not None:
                    await asyncio.wait([ahead])
                    _ = ahead.exception()  # seen above already, or of no interest after the client has gone
                await in_thread(self._close)

    async def _next(self) -> Sequence[bytes]:
        return await in_thread(self._step)

    def _step(self) -> Sequence[bytes]:
        """Make what is sent next, in one visit to a thread; nothing at the end.

        Small chunks, such as the head of a part, are joined: sending each costs more than the copy. A large
        one is not, for a client that stalls would hold both.
        """
        made: list[bytes] = []
        length = 0
        while length < self._flow.piece and (chunk := next(self._chunks, None)) is not None:
            made.append(chunk)
            length += len(chunk)
        return list(gathered(made, self._flow))

    def _close(self) -> None:
        if isinstance(self._chunks, Generator):
            self._chunks.close()


def _chained(first: Sequence[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from first
        yield from rest
    finally:
        if isinstance(rest, Generator):
            rest.close()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
