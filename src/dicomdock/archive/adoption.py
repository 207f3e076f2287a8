"""Insert the rows of files that the index does not know."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

from dicomdock.archive.index.attributes import WANTED
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import known_rows
from dicomdock.archive.journal_state import JournalState, Recorded
from dicomdock.archive.pending import PendingInstance, insert_instances, stored_records
from dicomdock.archive.storage.local import SUFFIX, Files, digest_of, mapped
from dicomdock.dicom.part10 import HEAD, read_header
from dicomdock.dicom.resource import Resource
from dicomdock.errors import WireError

READERS = 2  # files digested side by side
BATCH = 256  # rows inserted at once
CHANGED = "The file's bytes have changed since it came."

FindingStatus = Literal["intact", "missing", "changed", "adopted", "stray"]


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
    remarks : what was odd about the instance when it was stored, a sentence each.
    """

    status: FindingStatus
    path: Path
    resource: Resource | None = None
    reason: str = ""
    remarks: tuple[str, ...] = ()


def adopt(files: Files, index: Index, paths: Sequence[Path], state: JournalState) -> Iterator[Finding]:
    """Insert the rows of files that have none, with what the journal says of them.

    A file whose bytes are not those that the journal records gets the row of those, so that it counts as
    damaged.
    """
    for start in range(0, len(paths), BATCH):
        pending: dict[Path, tuple[PendingInstance, Recorded | None]] = {}
        with ThreadPoolExecutor(READERS) as readers:
            some = paths[start : start + BATCH]
            for path, item in zip(some, readers.map(_read_or_reason, some), strict=True):
                if isinstance(item, str):
                    yield Finding("stray", path, reason=item)
                elif item is None:
                    continue
                elif files.folder / item.relative_path != path:
                    reason = "The file does not lie where its UIDs belong."
                    yield Finding("stray", path, item.resource, reason)
                else:
                    pending[path] = item, state.get(item.relative_path)
        for path in _adopted(files, index, pending):
            item, known = pending[path]
            if known is not None and known.digest != item.digest:
                yield Finding("changed", path, item.resource, CHANGED)
            else:
                yield Finding(
                    "adopted", path, item.resource, "The index did not know this file; now it does."
                )


def _adopted(
    files: Files, index: Index, pending: Mapping[Path, tuple[PendingInstance, Recorded | None]]
) -> list[Path]:
    with index.writing() as connection:
        there = known_rows(connection, (item.resource for item, _ in pending.values()))
        going = {*connection.column("SELECT path FROM doomed")}
        # Looked at once more under the lock: a file may have been removed since it was read.
        fresh = {
            path: (item, known)
            for path, (item, known) in pending.items()
            if item.resource not in there and item.relative_path not in going and path.exists()
        }
        now = time.time()
        files.journal.append(
            stored_records([item for item, known in fresh.values() if known is None], "", False, now)
        )
        insert_recorded(connection, fresh.values(), now)
    return list(fresh)


def insert_recorded(
    connection: Connection, items: Iterable[tuple[PendingInstance, Recorded | None]], now: float
) -> None:
    """Insert the rows of instances with the origin and time that the journal records."""

    def facts(pair: tuple[PendingInstance, Recorded | None]) -> tuple[str, bool, float]:
        known = pair[1]
        return ("", False, now) if known is None else (known.origin, known.made_here, known.at)

    for (origin, made_here, at), group in groupby(sorted(items, key=facts), facts):
        some = [
            replace(item, size=known.size, digest=known.digest, remarks=known.remarks) if known else item
            for item, known in group
        ]
        insert_instances(connection, some, origin=origin, made_here=made_here, at=at)


def _read_or_reason(path: Path) -> PendingInstance | str | None:
    """Read an instance; return a sentence where the file is none of the archive's, None where it is gone."""
    try:
        return read_instance(path) if path.exists() else None
    except (OSError, WireError) as error:
        return str(error)


def read_instance(path: Path) -> PendingInstance:
    """Read an instance of the archive as one that waits to be committed.

    Raises
    ------
    OSError, WireError
        It cannot be read, or is none.
    """
    if path.suffix != SUFFIX:
        raise WireError("The file is not one that the archive wrote.")
    with path.open("rb") as file:
        head = file.read(HEAD)
        size = os.fstat(file.fileno()).st_size
    header = read_header(head, size, partial(mapped, path), WANTED)
    return PendingInstance(header.resource(), header, path, size, digest_of(path))
