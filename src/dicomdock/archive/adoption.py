"""Insert the rows of files that the index does not know."""

from __future__ import annotations

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
from dicomdock.archive.placement import uploading
from dicomdock.archive.storage.backend import Storage
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.local import SUFFIX
from dicomdock.dicom.part10 import read_header
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
        file in the archive's folder that is not an instance of it, left alone).
    path : the file, or the URL of the object.
    resource : the instance, where known.
    reason : a sentence, where not intact.
    remarks : what was odd about the instance when it was stored, a sentence each.
    """

    status: FindingStatus
    path: str
    resource: Resource | None = None
    reason: str = ""
    remarks: tuple[str, ...] = ()


def adopt(files: Files, index: Index, keys: Sequence[str], state: JournalState) -> Iterator[Finding]:
    """Insert the rows of files that have none, with what the journal says of them.

    A file whose bytes are not those that the journal records gets the row of those, so that it counts as
    damaged.
    """
    storage = files.storage
    for start in range(0, len(keys), BATCH):
        pending: dict[str, tuple[PendingInstance, Recorded | None]] = {}
        with ThreadPoolExecutor(READERS) as readers:
            some = keys[start : start + BATCH]
            read = readers.map(partial(_read_or_reason, storage), some)
            for key, item in zip(some, read, strict=True):
                path = storage.shown(key)
                if isinstance(item, str):
                    yield Finding("stray", path, reason=item)
                elif item is None:
                    continue
                elif item.key(storage) != key:
                    reason = "The file does not lie where its UIDs belong."
                    yield Finding("stray", path, item.resource, reason)
                else:
                    pending[key] = item, state.get(item.relative_path)
        adopted, others = _adopted(files, index, pending)
        for key in others:
            reason = "It is another version of an instance that the archive has."
            yield Finding("stray", storage.shown(key), pending[key][0].resource, reason)
        for key in adopted:
            item, known = pending[key]
            path = storage.shown(key)
            if known is not None and known.digest != item.digest:
                yield Finding("changed", path, item.resource, CHANGED)
            else:
                yield Finding(
                    "adopted", path, item.resource, "The index did not know this file; now it does."
                )


def _adopted(
    files: Files, index: Index, pending: Mapping[str, tuple[PendingInstance, Recorded | None]]
) -> tuple[list[str], list[str]]:
    """Insert the rows of files; return their keys, and those of objects that are other versions."""
    with index.writing() as connection:
        there = known_rows(connection, (item.resource for item, _ in pending.values()))
        going = {*connection.column("SELECT path FROM doomed"), *uploading(connection)}
        others = {
            key
            for key, (item, known) in pending.items()
            if key not in going and _is_other_version(files, item, known, there)
        }
        # Looked at once more under the lock: a file may have been removed since it was read.
        existing = files.storage.existing(pending.keys())
        fresh: dict[str, tuple[PendingInstance, Recorded | None]] = {}
        seen: set[Resource] = set()
        for key, (item, known) in pending.items():
            if item.resource in there or key in going or key in others or key not in existing:
                continue
            if item.resource in seen:
                others.add(key)
                continue
            seen.add(item.resource)
            fresh[key] = item, known
        now = time.time()
        files.journal.append(
            stored_records([item for item, known in fresh.values() if known is None], "", False, now)
        )
        insert_recorded(connection, fresh.values(), now)
    return list(fresh), sorted(others)


def _is_other_version(
    files: Files, item: PendingInstance, known: Recorded | None, there: Mapping[Resource, tuple[int, str]]
) -> bool:
    """Return whether an object is of a known instance, but not the bytes that it has."""
    if files.objects is None:  # a file that was changed is of the instance all the same
        return False
    digest = there[item.resource][1] if item.resource in there else known.digest if known else item.digest
    return digest != item.digest


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


def _read_or_reason(storage: Storage, key: str) -> PendingInstance | str | None:
    """Read an instance; return a sentence where the file is none of the archive's, None where it is gone."""
    try:
        return read_instance(storage, key)
    except FileNotFoundError:
        return None
    except (OSError, WireError) as error:
        return str(error)


def read_instance(storage: Storage, key: str) -> PendingInstance:
    """Read an instance of the archive as one that waits to be committed.

    Raises
    ------
    OSError, WireError
        It cannot be read, or is none.
    """
    if not key.endswith(SUFFIX):
        raise WireError("The file is not one that the archive wrote.")
    with storage.opened(key) as file:
        header = read_header(file.head, file.size, file.whole, WANTED)
        return PendingInstance(header.resource(), header, Path(), file.size, file.digest())
