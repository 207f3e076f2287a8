"""Content codings of answers: gzip and deflate, also where nobody asked for them.

References
----------
RFC 9110 §8.4 (Content-Encoding).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from dicomdock.errors import InflatesTooFar, WireError

CHUNK = (
    1 << 18
)  # bytes at a time; large enough that per-chunk work vanishes, small enough for constant memory
_EITHER_HEADER = zlib.MAX_WBITS | 32  # gzip or zlib, recognised by the first bytes
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Bound:
    """How far an answer may unpack.

    Parameters
    ----------
    free : bytes, whatever the ratio.
    ratio : times the received bytes, beyond that.
    """

    free: int
    ratio: int


STREAM: Final = Bound(64 << 20, 200)
"""Of what is read in constant memory: images reach a ratio of 10, an attack 1,000."""

DOCUMENT: Final = Bound(24 << 20, 24)
"""Of JSON, which becomes many times larger as objects; most of it packs 10 to 20 times, some 60."""


def decoded(
    chunks: Iterator[bytes], content_encoding: str, bound: Bound = STREAM, *, detect: bool = False
) -> Iterator[bytes]:
    """Undo a content coding, in constant memory.

    Parameters
    ----------
    detect : go by the first bytes, where the body cannot begin as gzip data does: some servers do not name
        the coding that they use, others name one that they do not use.

    Raises
    ------
    InflatesTooFar
        The coded data unpack to more than ``bound`` allows.
    WireError
        The coding is unknown; the coded data are broken or end too early.
    """
    names = [
        name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")
    ]
    if detect and names in ([], ["gzip"], ["x-gzip"]):
        return _detected(chunks, bound, named=bool(names))
    if not names:
        return chunks
    if names[0] not in ("gzip", "x-gzip", "deflate") or len(names) > 1:
        raise WireError(f"The server coded its answer as {content_encoding[:40]!r}, which was not asked for.")
    return _inflated(chunks, bound)


def _detected(chunks: Iterator[bytes], bound: Bound, *, named: bool) -> Iterator[bytes]:
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= len(GZIP_MAGIC):
            break
    coded = start.startswith(GZIP_MAGIC) or (named and bool(start) and _has_header(start))
    whole = chain((start,), chunks)
    yield from _inflated(whole, bound) if coded else whole


def _inflated(chunks: Iterator[bytes], bound: Bound) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_EITHER_HEADER)
    received = given = 0
    try:
        for chunk in chunks:
            if not received and not _has_header(chunk):
                inflater = zlib.decompressobj(
                    -zlib.MAX_WBITS
                )  # "deflate" without its zlib header, as some write it
            received += len(chunk)
            while chunk:
                piece = inflater.decompress(chunk, CHUNK)
                given += len(piece)
                if given > bound.free and given > bound.ratio * received:
                    raise InflatesTooFar(
                        "The server's answer unpacks to far more than it should and was refused."
                    )
                if piece:
                    yield piece
                chunk = inflater.unconsumed_tail
                if inflater.eof and inflater.unused_data.startswith(GZIP_MAGIC):
                    chunk, inflater = inflater.unused_data, zlib.decompressobj(_EITHER_HEADER)
        if rest := inflater.flush():
            yield rest
    except zlib.error as error:
        raise WireError(f"The server's answer is coded wrongly: {error}.") from error
    if received and not inflater.eof:
        raise WireError("The server's coded answer ended before it was complete; ask again.")


def _has_header(start: bytes) -> bool:
    if start.startswith(GZIP_MAGIC[: len(start)]):
        return True
    return start[0] & 0x0F == zlib.DEFLATED and (
        len(start) < 2 or (start[0] << 8 | start[1]) % 31 == 0
    )  # RFC 1950
