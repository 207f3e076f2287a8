"""Import files and folders from disk; each file is stored, or named with the reason why not."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from dicomdock.archive.import_progress import ImportProgress, ImportTally
from dicomdock.archive.packed import (
    DICOMDIR,
    NAMED_LIKE_PACKED,
    UNPACK_ERRORS,
    Member,
    exists,
    is_packed,
    members,
    missing_members,
    named_by,
    other_packing,
)
from dicomdock.archive.pending import PendingInstance
from dicomdock.archive.walk import ELSEWHERE, Failure, cause, files_below
from dicomdock.archive.writer import ArchiveWriter
from dicomdock.dicom.part10 import HEAD, is_dicomdir, looks_like_dicom
from dicomdock.errors import InvalidInput, WireError
from dicomdock.sources import CHUNK, Part

WORKERS = 2  # reading and digesting one file while another is written
NAMED_LIKE_DICOM = frozenset({".dcm", ".dicom", ".ima"})
AHEAD = 32  # files in work at once at most
_NOT_THERE = "The DICOMDIR names this file, but it is not there."


@dataclass(frozen=True, slots=True)
class _Packed:
    """A file that holds others."""

    path: Path


_Read: TypeAlias = "PendingInstance | Failure | _Packed | str"
_Found: TypeAlias = "Path | Member | Failure"


def import_paths(writer: ArchiveWriter, paths: Iterable[Path]) -> Iterator[ImportProgress]:
    """Import files and whole folders; memory stays bounded, whatever their number.

    Closing the generator stops; what was stored until then stays.

    Raises
    ------
    InvalidInput
        A path does not exist.
    NoSpace, ArchiveLocked, ArchiveError
        The archive cannot go on.
    """
    paths = list(paths)
    tally = ImportTally()
    with writer, ThreadPoolExecutor(WORKERS, thread_name_prefix="import") as workers:
        for path in paths:
            if not path.exists():
                raise InvalidInput(f"There is no file or folder {path}.")
        running: deque[tuple[Path, Future[_Read]]] = deque()
        sources: list[Iterator[_Found]] = [_files(paths)]
        try:
            while sources or running:
                found = next(sources[-1], None) if sources else None
                if found is None:
                    del sources[-1:]
                elif isinstance(found, Failure):
                    tally.add(found.path, found)
                elif isinstance(found, Path):
                    running.append((found, workers.submit(_read, writer, found)))
                else:
                    running.append((found.name, workers.submit(_read_member, writer, found)))
                while running and (not sources or len(running) >= AHEAD):
                    path, future = running.popleft()
                    outcome = future.result()
                    if isinstance(outcome, _Packed):
                        sources.append(_members(outcome.path))
                        continue
                    # Registered in their order: of two under one UID the first stays.
                    result = writer.register(outcome) if isinstance(outcome, PendingInstance) else outcome
                    tally.add(path, result)
                    yield tally.progress()
        finally:
            for _, future in running:
                future.cancel()
        for late in writer.flush():
            tally.correct(late)
    yield tally.report()


def _files(paths: Iterable[Path]) -> Iterator[_Found]:
    """Return every file below the paths, folder by folder, and what cannot be read or is not there.

    The files of a DICOMDIR that is a path itself are added; below a folder they are found without it.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            yield from _named_by(path)
            continue
        for found in files_below(path):
            yield found
            if isinstance(found, Path) and found.name.casefold() == DICOMDIR:
                yield from (one for one in _named_by(found) if isinstance(one, Failure))


def _named_by(path: Path) -> Iterator[_Found]:
    """Return the files that a DICOMDIR names, and which of them are not there."""
    try:
        if not path.is_file():  # a pipe would never be opened
            return
        with path.open("rb") as file:
            directory = is_dicomdir(file.read(HEAD))
        if not directory:
            return
        inside = Path(os.path.realpath(path.parent))
        for named in named_by(path):
            if not (exists(named) and named.is_file()):
                yield Failure(named, _NOT_THERE)
            elif Path(os.path.realpath(named.parent)).is_relative_to(inside):
                yield named
            else:
                yield Failure(named, ELSEWHERE)
    except WireError as error:
        yield Failure(path, str(error))
    except OSError:
        return  # reported when the file itself is read


def _members(path: Path) -> Iterator[_Found]:
    try:
        found = [*members(path)]
        yield from found
        with suppress(*UNPACK_ERRORS):  # said when the member itself is read
            yield from (Failure(missing, _NOT_THERE) for missing in missing_members(found))
    except WireError as error:
        yield Failure(path, str(error))
    except OSError as error:
        yield Failure(path, cause(error))


def _read_member(writer: ArchiveWriter, member: Member) -> _Read:
    chunks = member.chunks()
    try:
        head = next(chunks, b"")
        if not looks_like_dicom(head) and (is_packed(head) or other_packing(head)):
            return Failure(member.name, "It is packed inside a packed file; unpack the outer one first.")
        return _received(writer, member.name, head, chunks)
    except WireError as error:
        return Failure(member.name, str(error))
    except UNPACK_ERRORS as error:
        return Failure(member.name, f"It cannot be unpacked: {str(error) or type(error).__name__}.")
    except OSError as error:
        return Failure(member.name, cause(error))


def _received(writer: ArchiveWriter, name: Path, head: bytes, rest: Iterator[bytes]) -> _Read:
    if not looks_like_dicom(head):
        named = name.suffix.lower() in NAMED_LIKE_DICOM
        return Failure(name, "It is named like a DICOM file, but is none.") if named else "skipped"
    if is_dicomdir(head):
        return "directory"
    return writer.receive(Part("application/dicom", lambda: chain((head,) if head else (), rest)))


def _read(writer: ArchiveWriter, path: Path) -> _Read:
    try:
        if not path.is_file():  # a socket or device would never end
            return "skipped"
        with path.open("rb", buffering=0) as file:
            head = file.read(max(HEAD, CHUNK))
            if not looks_like_dicom(head):  # a preamble may hold anything (PS3.10 §7.1)
                if is_packed(head):
                    return _Packed(path)
                if kind := other_packing(head):
                    return Failure(path, f"It is {kind}; unpack it and import its folder.")
                if path.suffix.lower() in NAMED_LIKE_PACKED:
                    return Failure(path, "It is named like a packed file, but does not begin as one.")
            return _received(writer, path, head, iter(partial(file.read, CHUNK), b""))
    except WireError as error:
        return Failure(path, str(error))
    except OSError as error:
        return Failure(path, cause(error))
