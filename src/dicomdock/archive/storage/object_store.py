"""Store the files of instances as objects of a bucket.

``<study>/<series>/<instance>.<SHA-256>.dcm`` below the URL's prefix, the names as in a local folder. The
digest in the key makes an object immutable: no upload, however late, changes what a row of the index is of,
and nothing rests on conditional requests, which some gateways ignore.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.archive.storage.backend import StoredFile
from dicomdock.archive.storage.local import SUFFIX, mapped, name_of, relative_path
from dicomdock.archive.storage.object_cache import ObjectCache
from dicomdock.archive.storage.object_client import connect, store_errors
from dicomdock.dicom.part10 import HEAD
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Connection

AHEAD = 32  # objects downloaded before they are wanted
SIDE_BY_SIDE = 16  # requests; one takes as long as the way to the store and back
PART = 16 << 20  # bytes of one request; a larger file is sent in several, and appears when the last is there
DELETED_AT_ONCE = 1000  # what one request of S3 takes
LISTED_AT_ONCE = 1000
IMPATIENT = 5.0  # seconds in which a deletion is tried again
log = logging.getLogger(__name__)
_DIGEST = re.compile(r"\.([0-9a-f]{64})\.dcm\Z")


def digest_in(key: str) -> str:
    """Return the digest in the key of an object; empty for a key of another kind."""
    found = _DIGEST.search(key)
    return found[1] if found else ""


class ObjectStore:
    """The files of instances in a bucket.

    Parameters
    ----------
    url : of the bucket and the prefix: ``s3://BUCKET/PREFIX``, ``gs://`` or ``az://``.
    cache : local copies.
    """

    def __init__(self, url: str, cache: ObjectCache) -> None:
        self.url = url
        self.cache = cache

    def key(self, study: str, series: str, instance: str, digest: str) -> str:
        """Return the key of an instance with these UIDs and bytes."""
        path = relative_path(study, series, instance)
        return f"{path.removesuffix(SUFFIX)}.{digest}{SUFFIX}"

    def shown(self, key: str) -> str:
        """Return the URL of an object."""
        return f"{self.url}/{key}"

    def path(self, key: str) -> Path:
        """Return the path of the local copy of an object, which need not be there."""
        return self.cache.path(key)

    def fetched(self, keys: Iterable[str]) -> Iterator[Path]:
        """Return local copies in the order of their objects; some are downloaded ahead.

        Raises
        ------
        ArchiveError
            The store cannot be reached.
        """
        running: deque[Future[Path] | Path] = deque()

        def first() -> Path:
            one = running.popleft()
            return one if isinstance(one, Path) else one.result()

        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="download") as pool:
            try:
                for key in keys:
                    running.append(self.cache.find(key) or pool.submit(self.fetch, key))
                    if len(running) > AHEAD:
                        yield first()
                while running:
                    yield first()
            finally:
                for one in running:
                    if isinstance(one, Future):
                        one.cancel()

    def fetch(self, key: str) -> Path:
        """Return a local copy of an object; not there where its bytes are gone or others.

        Raises
        ------
        ArchiveError
            The store cannot be reached.
        """
        copy = self.cache.find(key)
        if copy is not None:
            return copy
        file = self.cache.temporary()
        try:
            found = hashlib.sha256()
            with suppress(FileNotFoundError), file.open("wb", buffering=0) as target:
                modified = self._read(key, found.update, target.write)
                if found.hexdigest() == digest_in(key):
                    return self.cache.add(key, file, modified)
        finally:
            file.unlink(missing_ok=True)
        return self.cache.path(key)

    def fetched_again(self, key: str) -> Path:
        """Drop the local copy of an object, and download it once more.

        Raises
        ------
        ArchiveError
            The store cannot be reached.
        """
        self.cache.remove(key)
        return self.fetch(key)

    def is_empty(self) -> bool:
        """Return whether no study was ever stored."""
        return next(self._listed(""), None) is None

    def names(self) -> list[str]:
        """Return the first parts of the keys."""
        import obstore

        with store_errors("Listing the archive", self.url):
            found = obstore.list_with_delimiter(self._connection)
        return sorted([*found["common_prefixes"], *(one["path"] for one in found["objects"])])

    def listed(self, below: str = "") -> Iterator[str]:
        """Return every key, or those with this first part."""
        found = False
        for key, _ in self._listed(below):
            found = True
            yield key
        if below and not found and self._exists(below):
            yield below  # an object beside the studies

    def existing(self, keys: Collection[str]) -> set[str]:
        """Return those among keys whose objects are there."""
        with ThreadPoolExecutor(min(SIDE_BY_SIDE, len(keys) or 1)) as pool:
            return {key for key, there in zip(keys, pool.map(self._exists, keys), strict=True) if there}

    def digest(self, key: str) -> str | None:
        """Read an object and return its SHA-256; None where it is gone."""
        digest = hashlib.sha256()
        try:
            self._read(key, digest.update)
        except FileNotFoundError:
            return None
        return digest.hexdigest()

    def with_size(self, resource: Resource, files: Iterable[tuple[str, str, int]]) -> set[str]:
        """Return the UIDs of those objects of a resource that are there with their size."""
        below = name_of(resource.study)
        if resource.series is not None:
            below = f"{below}/{name_of(resource.series)}"
        sizes = dict(self._listed(below))
        return {uid for uid, key, size in files if sizes.get(key) == size}

    @contextmanager
    def opened(self, key: str) -> Iterator[StoredFile]:
        """Open an object to read its head and its size; its digest is the one in its key.

        Raises
        ------
        OSError
            It is gone.
        """
        import obstore

        with store_errors("Reading the archive", self.url):
            found = obstore.get(self._connection, key, options={"range": (0, HEAD)})
            head, size = bytes(found.bytes()), found.meta["size"]
        yield StoredFile(head, size, lambda: mapped(self.fetch(key)), lambda: digest_in(key))

    def upload(
        self, files: Sequence[tuple[Path, str]], uploaded: Callable[[], object] = lambda: None
    ) -> None:
        """Upload files side by side, each under its key; they are durable when this returns.

        Parameters
        ----------
        uploaded : called after each.

        Raises
        ------
        ArchiveError
            The store cannot be reached, or refused one.
        OSError
            A file cannot be read.
        """
        with ThreadPoolExecutor(min(SIDE_BY_SIDE, len(files) or 1), thread_name_prefix="upload") as pool:
            running = [pool.submit(self._upload, *file) for file in files]
            try:
                for one in running:
                    one.result()
                    uploaded()
            finally:
                for one in running:
                    one.cancel()

    def discard(self, keys: Sequence[str]) -> Iterator[str]:
        """Delete objects and their local copies, and return the keys of those that are gone.

        What the store does not delete now stays, which is logged.
        """
        for start in range(0, len(keys), DELETED_AT_ONCE):
            some = list(keys[start : start + DELETED_AT_ONCE])
            for key in some:
                self.cache.remove(key)
            try:
                left = self._delete(some)
            except ArchiveError as error:
                log.warning("%s %d objects stay there, and are deleted later.", error, len(some))
                return
            yield from (key for key in some if key not in left)

    def _delete(self, keys: list[str]) -> set[str]:
        """Delete objects, and return the keys of those that are there all the same."""
        import obstore
        from obstore.exceptions import BaseError

        with store_errors("Removing from the archive", self.url):
            try:
                obstore.delete(self._impatient, keys)
            except FileNotFoundError as error:
                if "Bucket" in str(error):
                    raise
            except BaseError as error:
                if "DeleteObjects response" not in str(error):
                    raise
                return self.existing(keys)  # JuiceFS names nothing in its answer
        return set()

    @cached_property
    def _impatient(self) -> Connection:
        """The connection for what waits under the index's lock, and can be done another time."""
        return connect(self.url, retry_seconds=IMPATIENT)

    @cached_property
    def _connection(self) -> Connection:
        return connect(self.url)

    def _exists(self, key: str) -> bool:
        import obstore

        try:
            with store_errors("Reading the archive", self.url):
                obstore.head(self._connection, key)
        except FileNotFoundError:
            return False
        return True

    def _upload(self, file: Path, key: str) -> None:
        import obstore

        with store_errors("Writing to the archive", self.url):
            obstore.put(self._connection, key, file, chunk_size=PART, max_concurrency=4)

    def _read(self, key: str, *sinks: Callable[[bytes], object]) -> float:
        """Read an object, and return the time at which it was stored, in seconds since the epoch."""
        import obstore

        with store_errors("Reading the archive", self.url):
            found = obstore.get(self._connection, key)
            for chunk in found.stream(min_chunk_size=1 << 20):
                for sink in sinks:
                    sink(chunk)
            return found.meta["last_modified"].timestamp()

    def _listed(self, below: str) -> Iterator[tuple[str, int]]:
        """Return key and size of every object, or of those below a part of the keys.

        An empty object that has no instance's name stands for a folder, as consoles make them and as some
        gateways keep them when the last object below is deleted; it is passed over.
        """
        import obstore

        with store_errors("Listing the archive", self.url):
            for some in obstore.list(self._connection, below or None, chunk_size=LISTED_AT_ONCE):
                for one in some:
                    if one["size"] or one["path"].endswith(SUFFIX):
                        yield one["path"], one["size"]
