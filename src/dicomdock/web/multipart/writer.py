"""Request bodies: what can be sent, and sent again, in constant memory.

References
----------
RFC 2046 §5.1 (multipart syntax); RFC 2387 (multipart/related); PS3.18 §8.6.1 (multipart payloads).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from dicomdock.errors import StoreError
from dicomdock.web.multipart.part import Sendable

_KEPT_HEADERS = ("content-location", "content-id", "content-description")


class MultipartBody:
    """A multipart body to send; it can be sent again as long as its parts can be opened again.

    Parameters
    ----------
    parts : what is sent, in this order.
    media_type : what the parts are; also the Content-Type of a part that names none.

    References
    ----------
    PS3.18 §10.5.1 (store transaction request).
    """

    def __init__(self, parts: Sequence[Sendable], *, media_type: str = "application/dicom") -> None:
        self._parts = tuple(parts)
        self._media_type = media_type
        # Unquoted and simple, because some servers read nothing else; random, so that no payload holds it.
        self._boundary = f"dicomdock-{uuid.uuid4().hex}"
        self._heads = tuple(self._head(part) for part in self._parts)
        self._end = f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """The Content-Type of the whole body."""
        return f'multipart/related; type="{self._media_type}"; boundary={self._boundary}'

    @property
    def length(self) -> int | None:
        """Bytes of the whole body; None where a part does not know its own."""
        total = len(self._end) + sum(map(len, self._heads)) + 2 * len(self._parts)
        for part in self._parts:
            if part.length is None:
                return None
            total += part.length
        return total

    def chunks(self) -> Iterator[bytes]:
        """Return the body from its beginning.

        Raises
        ------
        StoreError
            A part no longer has its declared length.
        """
        for head, part in zip(self._heads, self._parts, strict=True):
            yield head
            count = 0
            for chunk in part.chunks():
                count += len(chunk)
                yield chunk
            if part.length is not None and count != part.length:
                raise StoreError(
                    f"{part.path or 'A part'} changed while it was sent: {count} bytes, not {part.length}."
                )
            yield b"\r\n"
        yield self._end

    def _head(self, part: Sendable) -> bytes:
        lines = [f"--{self._boundary}", f"Content-Type: {_one_line(part.content_type or self._media_type)}"]
        if part.length is not None:
            lines.append(f"Content-Length: {part.length}")
        lines += (
            f"{name.title()}: {_one_line(part.headers[name])}"
            for name in _KEPT_HEADERS
            if name in part.headers
        )
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _one_line(text: str) -> str:
    return " ".join(text.split())
