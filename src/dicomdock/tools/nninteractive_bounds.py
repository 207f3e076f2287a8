"""The client of nnInteractive with bounds: on the bytes of an answer, its time, and what it unpacks to."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession

from dicomdock.errors import ToolError

DOCUMENT = 1 << 20  # bytes of an answer without voxels
VOXEL = 8  # bytes of a value that a server may give for a voxel
_HEAD = struct.Struct("<4sBBBB")  # of a packed array: magic, version, codec, dimensions, length of its type


class BoundedSession(nnInteractiveRemoteInferenceSession):  # type: ignore[misc]  # it has no types
    """A session whose server may be hostile.

    Redirects are not followed, and packed answers are refused. An answer is complete within the time that it
    may take to begin, and holds no more than the voxels of the images.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_http":  # before the first request, which its constructor makes
            value.follow_redirects = False
            value.headers["Accept-Encoding"] = "identity"
            value.event_hooks = {"response": [self._bound]}
        super().__setattr__(name, value)

    def _bound(self, response: httpx.Response) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ToolError("The nnInteractive server packed an answer, which it was not asked to.")
        seconds = response.request.extensions["timeout"]["read"]
        stream = response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        response.stream = _BoundedStream(stream, DOCUMENT + VOXEL * self._voxels, seconds)

    @property
    def _voxels(self) -> int:
        target = getattr(self, "target_buffer", None)
        return 0 if target is None else int(target.size)

    def _apply_prediction_response(self, resp: httpx.Response) -> bool:
        if resp.content and _claimed(resp.content) > VOXEL * self._voxels:
            raise ValueError("more than the images have voxels")
        return bool(super()._apply_prediction_response(resp))


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, most: int, seconds: float) -> None:
        self._stream, self._most = stream, most
        self._deadline = time.monotonic() + seconds

    def __iter__(self) -> Iterator[bytes]:
        total = 0
        for block in self._stream:
            total += len(block)
            if total > self._most:
                raise ToolError(f"The nnInteractive server gave more than {self._most:,} bytes.")
            if time.monotonic() > self._deadline:
                raise httpx.ReadTimeout("the answer is not complete in time")
            yield block

    def close(self) -> None:
        self._stream.close()


def _claimed(data: bytes) -> int:
    """Return the bytes that a packed array unpacks to, by its head.

    Raises
    ------
    ValueError
        No array has such dimensions.
    """
    _, _, _, dimensions, length = _HEAD.unpack_from(data)
    named = _HEAD.size + length
    shape = struct.unpack_from(f"<{dimensions}q", data, named)
    if any(size < 0 for size in shape):
        raise ValueError("a negative size")
    kind = np.dtype(data[_HEAD.size : named].decode("ascii"))
    return int(math.prod(shape)) * int(kind.itemsize)
