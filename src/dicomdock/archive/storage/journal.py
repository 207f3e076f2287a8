"""Record beside the files what the files do not say, so that a lost index can be rebuilt from both.

One record a line, appended under the index's write lock, so that its order is the order of the commits: a
CRC-32 in hexadecimal, a space, and JSON. The first record states the format. A line that a crash cut off, or
whose checksum is wrong, is passed over.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any, TypeAlias

from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveTooNew

FORMAT = 1
BATCH = 500  # instances in one record


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """What is recorded of one instance.

    Parameters
    ----------
    uid : SOP Instance UID.
    size : bytes.
    digest : SHA-256 of the file, hexadecimal.
    remarks : what was odd about it when it was stored, a sentence each.
    """

    uid: str
    size: int
    digest: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """Instances of one series were stored, or replaced others of the same UIDs.

    Parameters
    ----------
    study, series : UIDs.
    origin : name of the server that they came from, else empty.
    made_here : this program created them.
    at : seconds since the epoch.
    """

    study: str
    series: str
    instances: Sequence[StoredInstance]
    origin: str = ""
    made_here: bool = False
    at: float = 0.0

    def to_json(self) -> Mapping[str, object]:
        """Return the record as it is written."""
        rows = [
            [one.uid, one.size, one.digest, *([one.remarks] if one.remarks else ())] for one in self.instances
        ]
        facts = {"study": self.study, "series": self.series, "origin": self.origin}
        return {"stored": {**facts, "made_here": self.made_here, "at": self.at, "instances": rows}}


@dataclass(frozen=True, slots=True)
class Removed:
    """Files were removed.

    Parameters
    ----------
    paths : below ``files/``.
    """

    paths: Sequence[str]

    def to_json(self) -> Mapping[str, object]:
        """Return the record as it is written."""
        return {"removed": {"paths": list(self.paths)}}


@dataclass(frozen=True, slots=True)
class Sent:
    """A server confirmed to have stored instances.

    Parameters
    ----------
    server : its name.
    instances : study, series and instance UID of each.
    at : seconds since the epoch.
    """

    server: str
    instances: Sequence[Sequence[str]]
    at: float

    def to_json(self) -> Mapping[str, object]:
        """Return the record as it is written."""
        return {"sent": {"server": self.server, "at": self.at, "instances": self.instances}}


@dataclass(frozen=True, slots=True)
class Pinned:
    """A study, series or instance was pinned or unpinned; unpinning clears all below it.

    Parameters
    ----------
    uids : those of the study, and perhaps of the series and the instance.
    """

    uids: Sequence[str]
    pinned: bool

    def to_json(self) -> Mapping[str, object]:
        """Return the record as it is written."""
        return {"pinned": {"uids": list(self.uids), "pinned": self.pinned}}


Record: TypeAlias = "Stored | Removed | Sent | Pinned"


@dataclass(frozen=True)
class Journal:
    """The journal of an archive.

    Parameters
    ----------
    path : its file; made by the first record.
    on_created : called after it was made.
    read_only : nothing is written.
    """

    path: Path
    on_created: Callable[[], None] = field(default=lambda: None, repr=False)
    read_only: bool = False

    def append(self, records: Iterable[Record], *, sync: bool = True) -> None:
        """Write records at the end; the caller holds the index's write lock.

        Parameters
        ----------
        sync : return only when they are on the disk.
        """
        lines = b"".join(_line(record.to_json()) for record in records)
        if not lines or self.read_only:
            return
        with private_file(self.path, os.O_APPEND) as file:
            end = file.seek(0, os.SEEK_END)
            if end == 0:
                lines = _header(0) + lines
            else:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    lines = b"\n" + lines  # a crash cut the last one off
            rest = memoryview(lines)
            while rest:
                rest = rest[file.write(rest) :]
            if sync:
                os.fsync(file.fileno())
        if end == 0:
            self.on_created()

    def lines(self, start: int = 0) -> Iterator[tuple[int, Mapping[str, object] | None]]:
        """Return each record from a position on with the position behind it; None for a damaged one.

        A last line without its end is not returned.

        Raises
        ------
        ArchiveTooNew
            A later version of dicomdock wrote it.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                start += len(line)
                if line == b"\n":
                    continue
                record = _record(line)
                written_as = record.get("format", FORMAT) if record else FORMAT
                if isinstance(written_as, int) and written_as > FORMAT:
                    raise ArchiveTooNew(
                        f"{self.path} was written by a later version of dicomdock (its format is "
                        f"{written_as}, this program knows {FORMAT})."
                    )
                yield start, record

    def last(self) -> list[Mapping[str, Any]]:
        """Return the last record, with those before it that say which further instances were sent with it."""
        reach = 1 << 16
        while True:
            with suppress(FileNotFoundError), self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - reach))
                lines = file.read().splitlines(keepends=True)[size > reach :]
                group: list[Mapping[str, Any]] = []
                for line in reversed(lines):
                    record = _record(line)
                    if record is None or (group and _call_of(record) != _call_of(group[0])):
                        return group
                    group.insert(0, record)
                    if _call_of(record) is None:
                        return group
                if size > reach:
                    reach *= 16
                    continue
                return group
            return []

    def compacted_size(self) -> int:
        """Return the size that it had when it was last written anew; 0 where it never was."""
        with suppress(FileNotFoundError, ValueError), self.path.open("rb") as file:
            header = _record(file.readline()) or {}
            return int(str(header.get("compacted", 0)))
        return 0

    def replace(self, records: Iterable[Record]) -> None:
        """Write the whole journal anew, or leave it as it was; the caller holds the index's write lock."""
        new = self.path.with_name(f"{self.path.name}.new")
        with private_file(new, os.O_TRUNC) as file, BufferedWriter(file) as lines:
            lines.write(_header(0))
            for record in records:
                lines.write(_line(record.to_json()))
            size = lines.tell()
            lines.seek(0)
            lines.write(_header(size))
            lines.flush()
            os.fsync(lines.fileno())
        new.replace(self.path)
        self.on_created()


def uids_of(resource: Resource) -> list[str]:
    """Return the UIDs of a resource, from the study down."""
    return [uid for uid in (resource.study, resource.series, resource.instance) if uid is not None]


def _call_of(record: Mapping[str, Any]) -> tuple[str, float] | None:
    sent = record.get("sent")
    return (sent["server"], sent["at"]) if sent else None


def _header(compacted: int) -> bytes:
    """Return the first line; its length does not depend on the number."""
    return _line({"format": FORMAT, "compacted": f"{compacted:015}"})


def _line(document: Mapping[str, object]) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _record(line: bytes) -> Mapping[str, object] | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(text):
            return None
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def private_file(path: Path, flags: int) -> FileIO:
    """Open a file for reading and writing, made where it is missing, readable by the user alone."""
    flags |= os.O_RDWR | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    return FileIO(os.open(path, flags, 0o600), "r+")
