"""A bucket of DICOM files that another program wrote: listed, read by ranges, never changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dicomdock.archive.storage.object_client import connect, store_errors
from dicomdock.dicom.header import IDENTITY, Header, Wanted
from dicomdock.dicom.part10 import looks_like_dicom, read_partial
from dicomdock.errors import WireError
from dicomdock.sources import Part

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Connection

RANGES = (1 << 14, 1 << 16, 1 << 20)
"""Bytes that are read of an object until they name its instance; most headers need the first alone."""
SIDE_BY_SIDE = 16
LISTED_AT_ONCE = 1000
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An object of a bucket.

    Parameters
    ----------
    key : below the prefix of the bucket's URL.
    size : bytes.
    header : what its first bytes hold of the wanted attributes; None where it is not a DICOM file.
    """

    key: str
    size: int
    header: Header | None


class Bucket:
    """The objects below a URL; safe to use from several threads at once.

    Parameters
    ----------
    url : of the bucket and a prefix: ``s3://BUCKET/PREFIX``, ``gs://`` or ``az://``.
    side_by_side : requests for headers.

    Raises
    ------
    MissingDependency, ArchiveError
        obstore is not installed, or the credentials cannot be used.
    """

    def __init__(self, url: str, side_by_side: int = SIDE_BY_SIDE) -> None:
        self.url = url
        self._side_by_side = side_by_side
        self._connection: Connection = connect(url)

    def objects(self, below: str = "", wanted: Wanted = IDENTITY) -> Iterator[BucketObject]:
        """Yield every object, or those below a part of the keys, in the order of the listing.

        Of each object a few kilobytes are read. One that is deleted meanwhile is left out.

        Raises
        ------
        ArchiveError
            There is no such bucket, it cannot be reached, or refused.
        """
        running: deque[Future[BucketObject | None]] = deque()
        with ThreadPoolExecutor(self._side_by_side, thread_name_prefix="bucket") as pool:
            try:
                for key, size in self._listed(below):
                    running.append(pool.submit(self._object, key, size, wanted))
                    if len(running) > 2 * self._side_by_side and (found := running.popleft().result()):
                        yield found
                while running:
                    if found := running.popleft().result():
                        yield found
            finally:
                for one in running:
                    one.cancel()

    def part(self, one: BucketObject) -> Part:
        """Return an object as a part, which is read when it is opened."""
        return Part("application/dicom", partial(self._chunks, one.key), one.size)

    def _object(self, key: str, size: int, wanted: Wanted) -> BucketObject | None:
        try:
            return BucketObject(key, size, self._header(key, size, wanted))
        except FileNotFoundError:
            return None

    def _header(self, key: str, size: int, wanted: Wanted) -> Header | None:
        import obstore

        for length in RANGES:
            end = min(length, size)
            with store_errors("Reading the bucket", self.url):
                head = bytes(obstore.get_range(self._connection, key, start=0, end=end)) if end else b""
            if not looks_like_dicom(head):
                return None
            header = read_partial(head, wanted)
            try:
                header.resource()
            except WireError:
                if end == size:
                    break
            else:
                return header
        return None

    def _listed(self, below: str) -> Iterator[tuple[str, int]]:
        import obstore

        with store_errors("Listing the bucket", self.url):
            for some in obstore.list(self._connection, below or None, chunk_size=LISTED_AT_ONCE):
                yield from ((one["path"], one["size"]) for one in some)

    def _chunks(self, key: str) -> Iterator[bytes]:
        import obstore

        try:
            with store_errors("Reading the bucket", self.url):
                for chunk in obstore.get(self._connection, key).stream(min_chunk_size=CHUNK):
                    yield bytes(chunk)
        except FileNotFoundError:
            raise WireError(f"{self.url}/{key} is gone.") from None
