"""Compare the files on disk with the index."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from dicomdock.archive.adoption import BATCH, CHANGED, READERS, Finding, adopt
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import instances_of
from dicomdock.archive.journal_state import JournalState
from dicomdock.archive.storage.local import Files, digest_or_none, name_of
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
            unknown = [path for path in files.all(name_of(uid)) if path not in known]
            yield from _unknown(files, index, unknown, recorded)
        folders = {name_of(uid) for uid in studies}
        for folder in sorted(files.folder.iterdir()):
            if folder.name not in folders:
                unknown = [*files.all(folder.name)] if folder.is_dir() else [folder]
                yield from _unknown(files, index, unknown, recorded)


def _unknown(
    files: Files, index: Index, paths: Sequence[Path], recorded: Callable[[], JournalState]
) -> Iterator[Finding]:
    if files.read_only:
        reason = "The index does not know this file, and the archive is read-only."
        yield from (Finding("stray", path, reason=reason) for path in paths)
    elif paths:
        yield from adopt(files, index, paths, recorded())


def _compared(files: Files, index: Index, resource: Resource) -> Generator[Finding, None, set[Path]]:
    """Compare the files of a resource, and return their paths."""
    with index.reading() as connection:
        known = list(instances_of(connection, files.folder, resource))
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(known), BATCH):
            some = known[start : start + BATCH]
            digests = readers.map(lambda one: digest_or_none(one.path), some)
            for one, digest in zip(some, digests, strict=True):
                if digest == one.digest:
                    yield Finding("intact", one.path, one.resource, remarks=one.remarks)
                elif finding := _looked_at_again(files, index, one.resource):
                    yield finding
    return {one.path for one in known}


def _looked_at_again(files: Files, index: Index, resource: Resource) -> Finding | None:
    """Return what is wrong with an instance; None where it was removed meanwhile, which is no damage."""
    with index.reading() as connection:
        one = next(instances_of(connection, files.folder, resource), None)
    if one is None:
        return None
    digest = digest_or_none(one.path)
    if digest == one.digest:  # it was replaced meanwhile
        return Finding("intact", one.path, resource)
    if digest is None:
        return Finding("missing", one.path, resource, "The file is gone or cannot be read.")
    return Finding("changed", one.path, resource, CHANGED)
