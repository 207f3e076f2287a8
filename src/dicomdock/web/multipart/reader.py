"""Multipart answers of DICOMweb, read part by part in constant memory; what is sent is in ``body``.

The reader works on the received chunks as they are: it looks for delimiters with ``bytes.find`` and hands out
slices of the chunks, so that no payload byte is copied or looked at in Python.

References
----------
RFC 2046 §5.1 (multipart syntax); RFC 2387 (multipart/related); PS3.18 §8.6.1 (multipart payloads).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import cast

from dicomdock.errors import MultipartError, Unreachable, WireError
from dicomdock.web.media_type import MediaType
from dicomdock.web.multipart.part import BodyPart

MAX_PREAMBLE = 1 << 16  # bytes before the first boundary; RFC 2046 has a sentence there at most
MAX_HEADERS = 1 << 16  # bytes of one part's header block
MAX_HELD = (
    1 << 22
)  # bytes held back to decide between a boundary text inside a payload and a wrong part length
MAX_BOUNDARY = 256  # characters; RFC 2046 allows 70, Orthanc writes 73
_PADDING = 16  # blanks after a boundary; RFC 2046 leaves it open
_NAME = 64  # characters of a header field's name
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")
# A delimiter is a whole line, and a part follows it (a header field or an empty line) or nothing does: a
# payload that only looks like one is left alone. These are what stands behind its boundary; with the boundary
# in them each answer would have patterns of its own to compile.
_BEHIND_BOUNDARY = re.compile(
    rb"(--)[ \t]*(?:(?=\r|\n)|\Z)|[ \t]{0,%d}(\r?\n)(?=\r?\n|[!-9;-~]{1,%d}[ \t]*:|\Z)" % (_PADDING, _NAME)
)
_CUT_BEHIND_BOUNDARY = re.compile(rb"(?:-|[ \t]*\r?)\Z")


def read_parts(chunks: Iterable[bytes], content_type: str, *, complete: bool = False) -> Iterator[BodyPart]:
    """Read a multipart body part by part; any other body is one part.

    A part is used up before the next one is taken; what the caller leaves unread is skipped. Its chunks are
    ``bytes`` or slices of the received chunks (``memoryview``). A part's declared length is a hint: where the
    delimiter stands elsewhere, the delimiter counts. A missing boundary is sniffed from the first line.

    Parameters
    ----------
    chunks : the body as received, in pieces of any size.
    content_type : the Content-Type of the whole answer; where it is empty, the body decides.
    complete : HTTP says where the body ends, and the caller knows by itself whether a part is whole. The last
        part is given then although no delimiter follows it; the error comes after it.

    Raises
    ------
    WireError
        The body is not multipart, or ended before its closing delimiter. A part that is itself cut raises
        while its chunks are read; a missing end after whole parts raises after them.
    """
    media = MediaType.parse(content_type)
    stream = _Stream(chunks)
    try:
        if media.is_multipart or (not media.essence and stream.starts_with(b"--")):
            yield from _Reader(stream, media.parameters.get("boundary", ""), complete).parts()
        else:
            yield BodyPart(content_type, stream.rest)
    finally:
        if isinstance(chunks, Generator):
            chunks.close()


class _Stream:
    """Chunks with a position: everything before ``position`` of ``data`` is done with.

    Only the few bytes around a chunk's edge are ever joined; the rest of a chunk is used where it lies.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._later: list[tuple[bytes, int]] = []
        self._failure: WireError | Unreachable | None = None
        self.data = b""
        self.position = 0

    def advance(self) -> bool:
        """Go on to the next chunk, forgetting the rest of this one; False at the end."""
        while self._later:
            self.data, self.position = self._later.pop()
            if self.position < len(self.data):
                return True
        try:
            for chunk in self._chunks:
                if len(chunk):
                    self.data, self.position = bytes(chunk), 0  # no copy where it is bytes already
                    return True
        except (WireError, Unreachable) as failure:  # raised when what came before it has been used
            self._failure = failure
        self.data, self.position = b"", 0
        return False

    def want(self, count: int) -> int:
        """Join chunks until ``count`` bytes stand together; return how many do, fewer only at the end."""
        while (have := len(self.data) - self.position) < count:
            tail = self.data[self.position :]
            if not self.advance():
                self.data = tail
                break
            cut = self.position + count - have
            head = self.data[self.position : cut]
            if cut < len(self.data):
                self._later.append((self.data, cut))
            self.data, self.position = tail + head, 0
        return len(self.data) - self.position

    def starts_with(self, prefix: bytes) -> bool:
        """Return whether these bytes come next, leaving them where they are."""
        self.want(len(prefix))
        return self.data.startswith(prefix, self.position)

    def slice(self, end: int) -> bytes:
        """Return the bytes up to the index ``end`` of ``data``, without copying them."""
        start, self.position = self.position, end
        if start == 0 and end == len(self.data):
            return self.data
        return cast("bytes", memoryview(self.data)[start:end])

    def take(self, count: int) -> Iterator[bytes]:
        """Return the next ``count`` bytes, fewer only at the end."""
        while count > 0:
            have = min(len(self.data) - self.position, count)
            if have:
                yield self.slice(self.position + have)
                count -= have
            elif not self.advance():
                return

    def rest(self) -> Iterator[bytes]:
        """Return everything that is left."""
        while True:
            if self.position < len(self.data):
                yield self.slice(len(self.data))
            if not self.advance():
                break
        if self._failure is not None:
            raise self._failure

    @property
    def failed(self) -> bool:
        """The chunks ended by an error."""
        return self._failure is not None

    def truncated(self) -> WireError | Unreachable:
        """Return the error for an end that came too early."""
        return self._failure or MultipartError(
            "The server's answer ended before it was complete; "
            "what arrived whole was stored, ask for the rest.",
            "truncated",
        )

    def put_back(self, pieces: Sequence[bytes]) -> None:
        """Put bytes back, so that they come next again."""
        self._later.append((self.data, self.position))
        self.data, self.position = b"".join(pieces), 0


class _Reader:
    """The state of one multipart body: where we are, and the part that is being read."""

    def __init__(self, stream: _Stream, boundary: str, complete: bool) -> None:
        self._stream = stream
        self._complete = complete
        self._line_feed_only = False
        self._closed = False
        self._set_boundary(boundary.encode("latin-1", "replace"))

    def _set_boundary(self, boundary: bytes) -> None:
        self._needle = b"\n--" + boundary
        self._sight = len(self._needle) + _PADDING + _NAME + 8  # bytes in which a delimiter can be recognised

    def parts(self) -> Iterator[BodyPart]:
        self._open()
        while not self._closed:
            headers = self._headers()
            length = _declared_length(headers)
            body = self._body(length)
            yield BodyPart(headers.get("content-type", ""), _Once(body), length=length, headers=headers)
            for _ in body:  # what the caller left unread
                pass
            if not self._closed and not self._step_over_delimiter():
                raise self._stream.truncated()
        for _ in self._stream.take(
            MAX_PREAMBLE
        ):  # every part is whole; this lets the connection be used again
            pass

    def _open(self) -> None:
        """Step over the preamble and the first delimiter."""
        named = len(self._needle) > len(b"\n--")
        wanted, ended = self._sight, False
        while wanted <= MAX_PREAMBLE and not ended:
            ended = self._stream.want(wanted) < wanted
            wanted *= 2
            if named and self._find_opening():
                return
            if not named and self._sniff(ended):
                named = True
                if self._step_over_delimiter():
                    return
        # A boundary that is nowhere in the answer is no better than none.
        if not self._stream.want(1):
            raise MultipartError(
                "The server's multipart answer is empty; ask again, or ask for single instances.", "empty"
            )
        if not self._sniff(whole=True) or not self._step_over_delimiter():
            raise MultipartError(
                "The server's answer says multipart, but its boundary is nowhere in it.", "no boundary"
            )

    def _find_opening(self) -> bool:
        data, place = self._stream.data, self._stream.position
        while place >= 0:
            if found := self._delimiter_at(data, place):
                self._enter(found)
                return True
            place = data.find(self._needle, place + 1)
        return False

    def _sniff(self, whole: bool) -> bool:
        """Take the boundary from the first line that is not blank, where that looks like one."""
        stream = self._stream
        block = stream.data[stream.position : stream.position + MAX_PREAMBLE]
        line, end, _ = block.lstrip().partition(b"\n")
        line = line.rstrip()
        if not (end or whole) or not line.startswith(b"--") or not len(b"--") < len(line) <= MAX_BOUNDARY:
            return False
        stream.position += len(block) - len(block.lstrip())
        self._set_boundary(line[2:-2] if line.endswith(b"--") and len(line) > len(b"----") else line[2:])
        return True

    def _delimiter_here(self) -> re.Match[bytes] | None:
        self._stream.want(self._sight)
        return self._delimiter_at(self._stream.data, self._stream.position)

    def _delimiter_at(self, data: bytes, place: int) -> re.Match[bytes] | None:
        """Return what ends a delimiter that begins there, with or without the line end before it."""
        place += data.startswith(b"\r", place)
        place += data.startswith(b"\n", place)
        if not data.startswith(self._needle[1:], place):
            return None
        return _BEHIND_BOUNDARY.match(data, place + len(self._needle) - 1)

    def _is_cut_delimiter(self, data: bytes, place: int) -> bool:
        """Return whether data end within a delimiter, behind its boundary."""
        place += data.startswith(b"\r", place)
        if not data.startswith(self._needle, place):
            return False
        return _CUT_BEHIND_BOUNDARY.match(data, place + len(self._needle)) is not None

    def _step_over_delimiter(self) -> bool:
        found = self._delimiter_here()
        if found is None:
            return False
        self._enter(found)
        return True

    def _enter(self, delimiter: re.Match[bytes]) -> None:
        """Stand behind a delimiter."""
        self._stream.position = delimiter.end()
        self._closed = delimiter[1] is not None
        self._line_feed_only = delimiter[2] == b"\n"

    def _headers(self) -> dict[str, str]:
        stream, wanted = self._stream, 512
        while True:
            have = stream.want(wanted)
            if stream.data.startswith((b"\r\n", b"\n"), stream.position):
                stream.position = stream.data.index(b"\n", stream.position) + 1
                return {}
            end = min(len(stream.data), stream.position + MAX_HEADERS)
            if found := _BLANK_LINE.search(stream.data, stream.position, end):
                block = stream.data[stream.position : found.start()]
                stream.position = found.end()
                return _parse_headers(block)
            if have >= MAX_HEADERS:
                raise MultipartError(
                    f"A part's headers are longer than {MAX_HEADERS} bytes; this is not a multipart answer.",
                    "headers",
                )
            if have < wanted:
                raise self._stream.truncated()
            wanted = min(2 * have, MAX_HEADERS)

    def _body(self, length: int | None) -> Iterator[bytes]:
        """Return the body up to its delimiter, and stand before that."""
        if not length and self._stream.starts_with(self._needle[1:]) and self._delimiter_here():
            return  # an empty part whose blank line is the delimiter's own line end
        given = 0
        for piece in self._until_delimiter():
            given += len(piece)
            yield piece
        missing = None if length is None else length - given
        if not self._delimiter_here():
            if rest := self._last(missing):
                yield rest
        elif missing is not None and missing >= len(self._needle):
            yield from self._decide(missing)

    def _last(self, missing: int | None) -> bytes:
        """At the end of everything: give the ``missing`` bytes if only a cut delimiter follows them."""
        stream = self._stream
        rest = stream.data[stream.position :]
        if missing is None and self._complete and not stream.failed:
            return stream.slice(len(stream.data))
        if missing is None or not 0 <= missing <= len(rest) or not self._begins_delimiter(rest[missing:]):
            raise stream.truncated()
        return stream.slice(stream.position + missing)

    def _begins_delimiter(self, text: bytes) -> bool:
        needle = self._needle
        return needle.startswith(text) or (b"\r" + needle).startswith(text) or self._is_cut_delimiter(text, 0)

    def _decide(self, missing: int) -> Iterator[bytes]:
        """At a delimiter, with ``missing`` bytes still declared: is it payload, or the length wrong?

        It is payload if another delimiter stands where the length says.
        """
        stream = self._stream
        held = list(stream.take(min(missing, MAX_HELD)))
        count = sum(map(len, held))
        if count == missing and self._delimiter_here():
            yield from held
        elif count < missing and count == MAX_HELD:
            yield from held
            for piece in stream.take(missing - count):
                count += len(piece)
                yield piece
            if count < missing or not self._delimiter_here():
                raise MultipartError(
                    "A part does not end at its declared length, and cannot be separated from the next.",
                    "length",
                )
        else:
            tail = b"".join(held)
            if not stream.want(1) and not tail.rstrip().endswith(self._needle[1:] + b"--"):
                raise self._stream.truncated()
            stream.put_back((tail,))

    def _until_delimiter(self) -> Iterator[bytes]:
        """Return everything before the next delimiter; where there is none, all but what could begin one."""
        stream, needle = self._stream, self._needle
        keep = len(needle)  # a needle's beginning, and the carriage return before it
        while True:
            found = stream.data.find(needle, stream.position)
            if found >= 0:
                end = found
                if not self._line_feed_only and found > stream.position and stream.data[found - 1] == 13:
                    end -= 1
                if end > stream.position:
                    yield stream.slice(end)
                if self._delimiter_here() or self._is_cut_delimiter(stream.data, stream.position):
                    return
                yield stream.slice(stream.data.index(b"\n", stream.position) + 1)
                continue
            if (end := len(stream.data) - keep) > stream.position:
                yield stream.slice(end)
            tail = stream.data[stream.position :]
            if not stream.advance():
                stream.put_back((tail,))
                return
            edge = tail + stream.data[stream.position : stream.position + keep]
            if needle in edge or len(edge) < len(tail) + keep:
                head = edge[len(tail) :]
                stream.position += len(head)
                stream.put_back((edge,))
            elif tail:
                yield tail


class _Once:
    """Opens a part from the wire, once."""

    def __init__(self, body: Iterator[bytes]) -> None:
        self._body: Iterator[bytes] | None = body

    def __call__(self) -> Iterator[bytes]:
        if self._body is None:
            raise WireError("A part from the wire can be read only once.")
        body, self._body = self._body, None
        return (
            piece for piece in body
        )  # closing this must leave the reader's own iterator open, to skip the rest


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in block.decode("latin-1").splitlines():
        if line[:1] in (" ", "\t") and name:
            headers[name] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon:
            headers.setdefault(name, value.strip())
        else:
            name = ""
    return headers


def _declared_length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
