"""Response: an answer on its way, read chunk by chunk or whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import TracebackType

import urllib3
from urllib3.exceptions import HTTPError

from dicomdock.errors import Cancelled, DicomdockError, WireError
from dicomdock.web import content_encoding, pool
from dicomdock.web.content_encoding import CHUNK, STREAM, Bound
from dicomdock.web.redaction import Redactor
from dicomdock.web.words import words_of

MAX_READ = 256 << 20  # bytes of an answer that is read as a whole (JSON, rendered images)
MAX_DISCARDED = 1 << 16  # bytes read of an answer that is only looked at
EXCERPT = 300  # characters of an answer that go into an error
LOOKED_AT = 4096  # characters of an answer or a header field that are searched for secrets, and cut further


class Response:
    """An answer whose body is still on the wire; closing it early drops the connection.

    A context manager. An error of ours that leaves its block loses the secrets of the request on the way,
    because a server may repeat them anywhere in its answer.

    Parameters
    ----------
    raw : urllib3's answer, unread.
    url : the address asked, redacted.
    stopped : set when whoever asked has closed the connections.
    redactor : knows the secrets of the request.
    """

    def __init__(
        self,
        raw: urllib3.BaseHTTPResponse,
        url: str,
        stopped: threading.Event,
        redactor: Redactor,
    ) -> None:
        self._raw = raw
        self.url = url
        self._stopped = stopped
        self._redactor = redactor
        self._closed = False

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self._raw.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names are found in any case."""
        return self._raw.headers

    @property
    def content_type(self) -> str:
        """The Content-Type as received; empty where there is none."""
        return self._raw.headers.get("Content-Type", "")

    @property
    def warning(self) -> str:
        """The Warning header, redacted: what servers write there is shown."""
        return self.redact(self._raw.headers.get("Warning", "")[:LOOKED_AT])

    def redact(self, text: str) -> str:
        """Return words of the answer without the secrets of its request, to be shown or stored."""
        return self._redactor.redact(text)

    def repeats_secret(self, data: bytes) -> bool:
        """Return whether what was read of the answer holds a whole secret of its request."""
        return self._redactor.is_repeated_in(data)

    def chunks(self, bound: Bound = STREAM, *, detect: bool = False) -> Iterator[bytes]:
        """Return the body as it arrives, decoded from gzip or deflate where the server coded it.

        Parameters
        ----------
        detect : the body is text or DICOM, so that its first bytes show whether it is coded.

        Raises
        ------
        WireError
            The answer ended before its length, or its coding is broken, unknown or a bomb.
        Unreachable
            Nothing came for the read time-out.
        """
        coding = self._raw.headers.get("Content-Encoding", "")
        try:
            yield from content_encoding.decoded(self._received(), coding, bound, detect=detect)
        except DicomdockError as error:
            self._redactor.redact_error(error)
            raise

    def _received(self) -> Iterator[bytes]:
        try:
            while True:
                if self._closed:
                    raise WireError(f"The answer of {self.url} was closed before its end.")
                chunk = self._raw.read1(CHUNK, decode_content=False)
                if not chunk:
                    break
                yield chunk
        except HTTPError as error:
            if not self._stopped.is_set():
                raise pool.broken(error, self.url) from error
        finally:
            self.close()
        if self._stopped.is_set():  # an interrupted connection looks like an answer that has ended
            raise Cancelled("The connection was closed.")

    def read(self, limit: int = MAX_READ, bound: Bound = STREAM, *, detect: bool = False) -> bytes:
        """Return the whole body; see ``chunks``.

        Raises
        ------
        WireError, Unreachable
            As ``chunks``; or the body is longer than ``limit`` bytes.
        """
        pieces, count = [], 0
        for chunk in self.chunks(bound, detect=detect):
            count += len(chunk)
            if count > limit:
                self.close()
                raise WireError(f"The answer of {self.url} is longer than {limit} bytes and was refused.")
            pieces.append(chunk)
        return b"".join(pieces)

    def close(self) -> None:
        """Return the connection to its pool where the body was read to its end, else drop it."""
        self._closed = True
        self._raw.close()
        self._raw.release_conn()

    def discard(self) -> None:
        """Close an answer; a short one is read first, so that its connection can be used again."""
        self._beginning(MAX_DISCARDED)
        self.close()

    def excerpt(self) -> str:
        """Return the answer's beginning as a line of text for an error, redacted, and close it."""
        beginning = self._beginning(MAX_DISCARDED)
        self.close()
        return self.redact(words_of(beginning, self.content_type)[:LOOKED_AT])[:EXCERPT]

    def _beginning(self, limit: int) -> bytes:
        pieces, count = [], 0
        with suppress(DicomdockError):
            for chunk in self.chunks():
                pieces.append(chunk)
                count += len(chunk)
                if count > limit:
                    break
        return b"".join(pieces)[:limit]

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, DicomdockError):
            self._redactor.redact_error(error)
