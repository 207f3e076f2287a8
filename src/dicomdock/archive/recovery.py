"""Finish what a crash left half done, and compare the files on disk with the index."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from dicomdock.archive.index.attributes import WANTED
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import instances_of, known_rows
from dicomdock.archive.pending import PendingInstance, insert_instances, replace_rows
from dicomdock.archive.storage.local import (
    NOTE,
    SUFFIX,
    Files,
    abandoned,
    digest_of,
    digest_or_none,
    disk_errors,
    mapped,
    name_of,
)
from dicomdock.dicom.part10 import HEAD, read_header
from dicomdock.dicom.resource import Resource
from dicomdock.errors import WireError

FindingStatus = Literal["intact", "missing", "changed", "adopted", "stray"]

READERS = 2  # files digested side by side
BATCH = 256  # rows inserted at once


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one file since it was stored.

    Parameters
    ----------
    status : ``intact``; ``missing`` (indexed, but the file is gone); ``changed`` (its bytes are others than
        were stored); ``adopted`` (a whole instance that the index did not know, and now does); ``stray`` (a
        file in the archive's folder that is no instance of it, left alone).
    path : the file.
    resource : the instance, where known.
    reason : a sentence, where not intact.
    """

    status: FindingStatus
    path: Path
    resource: Resource | None = None
    reason: str = ""


def recover(files: Files, index: Index) -> None:
    """Finish what crashed processes began; cheap where there is nothing to do."""
    with disk_errors("Opening the archive"), abandoned(files.incoming) as sessions:
        for session in sessions:
            for note in session.glob(f"*{NOTE}"):
                adopt_announced(files, index, note)
    with index.reading() as connection:
        work = connection.first("SELECT path FROM doomed LIMIT 1") or connection.first(
            "SELECT path FROM replacing LIMIT 1"
        )
    if work:
        remove_deleted_files(files, index)
        _finish_replacements(files, index)


def adopt_announced(files: Files, index: Index, note: Path) -> None:
    """Insert the rows of files that a note names."""
    lines = note.read_text("ascii", "replace").splitlines()
    try:
        facts = json.loads(lines[0])
    except (ValueError, IndexError):  # cut off while it was written, so nothing had been renamed
        return
    paths = [files.folder / line for line in lines[1:]]
    list(adopt(files, index, paths, origin=facts.get("origin", ""), made_here=bool(facts.get("made_here"))))


def remove_deleted_files(files: Files, index: Index) -> None:
    """Delete the files of rows that are gone.

    A file that the system does not let go stays listed, and is tried again when the archive is opened next.
    """
    with index.writing() as connection:
        removed = []
        for path in connection.column("SELECT path FROM doomed"):
            with suppress(OSError):
                files.discard(files.folder / path)
                removed.append((path,))
        connection.execute_many("DELETE FROM doomed WHERE path = ?", removed)


def _finish_replacements(files: Files, index: Index) -> None:
    """Bring the rows of exchanged files up to date where a crash came between."""
    with index.writing() as connection:
        replaced: list[tuple[int, PendingInstance]] = []
        for path, number, digest in connection.all("SELECT path, instance, digest FROM replacing"):
            file = files.folder / path
            try:
                item = _read_instance(file)
            except (OSError, WireError):
                continue
            if item.digest == digest:  # else it was not exchanged yet, or not by this
                replaced.append((number, item))
        replace_rows(connection, replaced)


def verify(files: Files, index: Index, resource: Resource | None) -> Iterator[Finding]:
    """Compare every file with what was stored; without a resource find unknown files too.

    The archive may change meanwhile. Study by study, so that memory stays bounded.
    """
    if resource is not None:
        yield from _compared(files, index, resource)
        return
    with index.reading() as connection:
        studies = connection.column('SELECT "StudyInstanceUID" FROM study ORDER BY id')
    for uid in studies:
        known = yield from _compared(files, index, Resource(uid))
        yield from adopt(files, index, [path for path in files.all(name_of(uid)) if path not in known])
    folders = {name_of(uid) for uid in studies}
    for folder in sorted(files.folder.iterdir()):
        if folder.name not in folders:
            yield from adopt(files, index, [*files.all(folder.name)] if folder.is_dir() else [folder])


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
                    yield Finding("intact", one.path, one.resource)
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
    return Finding("changed", one.path, resource, "The file's bytes have changed since it came.")


def adopt(
    files: Files, index: Index, paths: Sequence[Path], *, origin: str = "", made_here: bool = False
) -> Iterator[Finding]:
    """Insert the rows of files that have none."""
    for start in range(0, len(paths), BATCH):
        pending: dict[Path, PendingInstance] = {}
        for path in paths[start : start + BATCH]:
            if not path.exists():
                continue
            try:
                item = _read_instance(path)
            except (OSError, WireError) as error:
                yield Finding("stray", path, reason=str(error))
                continue
            if files.folder / item.relative_path != path:
                yield Finding("stray", path, item.resource, "The file does not lie where its UIDs belong.")
            else:
                pending[path] = item
        with index.writing() as connection:
            there = known_rows(connection, (item.resource for item in pending.values()))
            going = {*connection.column("SELECT path FROM doomed")}
            # Looked at once more under the lock: a file may have been removed since it was read.
            fresh = {
                path: one
                for path, one in pending.items()
                if one.resource not in there and one.relative_path not in going and path.exists()
            }
            insert_instances(connection, list(fresh.values()), origin=origin, made_here=made_here)
        for path, item in fresh.items():
            yield Finding("adopted", path, item.resource, "The index did not know this file; now it does.")


def _read_instance(path: Path) -> PendingInstance:
    if path.suffix != SUFFIX:
        raise WireError("The file is not one that the archive wrote.")
    with path.open("rb") as file:
        head = file.read(HEAD)
        size = os.fstat(file.fileno()).st_size
    header = read_header(head, size, partial(mapped, path), WANTED)
    return PendingInstance(header.resource(), header, path, size, digest_of(path))
