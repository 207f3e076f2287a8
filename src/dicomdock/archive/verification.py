"""Compare the files on disk with the index."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache

from dicomdock.archive.adoption import BATCH, CHANGED, READERS, Finding, adopt
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import instances_of
from dicomdock.archive.journal_state import JournalState
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.local import name_of
from dicomdock.dicom.resource import Resource


def verify(files: Files, index: Index, resource: Resource | None) -> Iterator[Finding]:
    """Compare every file with what was stored; without a resource find unknown files too.

    The archive may change meanwhile. Study by study, so that memory stays bounded.
    """
    if resource is not None:
        yield from _compared(files, index, resource)
        return
    with index.reading() as connection:
        studies = connection.column('SELECT "StudyInstanceUID" FROM study ORDER BY id')
    with ExitStack() as stack:
        recorded = cache(lambda: stack.enter_context(JournalState(files.journal)))  # few archives need it
        for uid in studies:
            known = yield from _compared(files, index, Resource(uid))
            unknown = [key for key in files.storage.listed(name_of(uid)) if key not in known]
            yield from _unknown(files, index, unknown, recorded)
        folders = {name_of(uid) for uid in studies}
        for name in files.storage.names():
            if name not in folders:
                yield from _unknown(files, index, [*files.storage.listed(name)], recorded)


def _unknown(
    files: Files, index: Index, keys: Sequence[str], recorded: Callable[[], JournalState]
) -> Iterator[Finding]:
    if files.read_only:
        reason = "The index does not know this file, and the archive is read-only."
        yield from (Finding("stray", files.storage.shown(key), reason=reason) for key in keys)
    elif keys:
        yield from adopt(files, index, keys, recorded())


def _compared(files: Files, index: Index, resource: Resource) -> Generator[Finding, None, set[str]]:
    """Compare the files of a resource, and return their keys."""
    storage = files.storage
    with index.reading() as connection:
        known = list(instances_of(connection, storage, resource))
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(known), BATCH):
            some = known[start : start + BATCH]
            digests = readers.map(lambda one: storage.digest(one.key), some)
            for one, digest in zip(some, digests, strict=True):
                if digest == one.digest:
                    yield Finding("intact", storage.shown(one.key), one.resource, remarks=one.remarks)
                elif finding := _looked_at_again(files, index, one.resource):
                    yield finding
    return {one.key for one in known}


def _looked_at_again(files: Files, index: Index, resource: Resource) -> Finding | None:
    """Return what is wrong with an instance; None where it was removed meanwhile, which is not damage."""
    storage = files.storage
    with index.reading() as connection:
        one = next(instances_of(connection, storage, resource), None)
    if one is None:
        return None
    digest, path = storage.digest(one.key), storage.shown(one.key)
    if digest == one.digest:  # it was replaced meanwhile
        return Finding("intact", path, resource)
    if digest is None:
        return Finding("missing", path, resource, "The file is gone or cannot be read.")
    return Finding("changed", path, resource, CHANGED)
