"""Replay the journal: what it says is in the archive, in a temporary database of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from types import TracebackType
from typing import Any, Self

from dicomdock.archive.storage.journal import (
    BATCH,
    Journal,
    Pinned,
    Record,
    Sent,
    Stored,
    StoredInstance,
    uids_of,
)
from dicomdock.archive.storage.local import SUFFIX, relative_path
from dicomdock.archive.storage.object_store import digest_in
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput

_TABLES = """
create table file (path text primary key, study text, series text, instance text, size integer,
                   digest text, origin text, made_here integer, at real, remarks text,
                   seen integer default 0) without rowid;
create table sent (path text, server text, at real, primary key (path, server)) without rowid;
create table pin (path text primary key, uids text) without rowid;
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the journal says of one instance.

    Parameters
    ----------
    resource : its UIDs.
    size : bytes.
    digest : SHA-256 of the file, hexadecimal.
    origin : name of the server that it came from.
    made_here : this program created it.
    at : seconds since the epoch, when it was stored.
    remarks : what was odd about it.
    """

    resource: Resource
    size: int
    digest: str
    origin: str
    made_here: bool
    at: float
    remarks: tuple[str, ...]


class JournalState:
    """What the records of a journal amount to; memory stays bounded, whatever its length.

    Use it in a ``with`` block.

    Parameters
    ----------
    journal : need not be there.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._position = 0
        self.damaged = 0
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_TABLES)
        self.catch_up()

    def catch_up(self) -> None:
        """Read what was appended since."""
        self._database.execute("begin")
        for position, record in self._journal.lines(self._position):
            self._position = position
            if record is None or not self._apply(record):
                self.damaged += 1
        self._database.execute("commit")

    def get(self, path: str) -> Recorded | None:
        """Return what is recorded of a file, and count it as seen; None where nothing is."""
        row = self._database.execute(_ONE, (path,)).fetchone()
        if row is None:
            return None
        self._database.execute("update file set seen = 1 where path = ?", (path,))
        return _recorded(row)

    def unseen(self) -> Iterator[Recorded]:
        """Return what is recorded, and was not asked for."""
        return map(_recorded, self._database.execute(_UNSEEN))

    def all(self) -> Iterator[Recorded]:
        """Return what is recorded of every file, by series."""
        return map(_recorded, self._database.execute(_ALL))

    def sent(self) -> Iterator[tuple[Resource, str, float]]:
        """Return instance, server and time of every sent mark."""
        rows = self._database.execute(
            "select study, series, instance, server, sent.at from sent join file using (path)"
            " order by server, sent.at, path"
        )
        return ((Resource(*row[:3]), row[3], row[4]) for row in rows)

    def pins(self) -> list[Resource]:
        """Return the pinned resources."""
        rows = self._database.execute("select uids from pin order by path")
        return [Resource(*json.loads(row[0])) for row in rows]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def _apply(self, record: Mapping[str, Any]) -> bool:
        """Apply a record; return whether it could be understood."""
        try:
            for kind, facts in record.items():
                if kind == "stored":
                    self._store(facts)
                elif kind == "removed":
                    self._remove(facts["paths"])
                elif kind == "sent":
                    rows = [
                        (relative_path(*uids), facts["server"], facts["at"]) for uids in facts["instances"]
                    ]
                    self._database.executemany("insert or ignore into sent values (?, ?, ?)", rows)
                elif kind == "pinned":
                    self._pin(Resource(*facts["uids"]), facts["pinned"])
        except (KeyError, TypeError, ValueError, InvalidInput, sqlite3.Error):
            return False
        return True

    def _store(self, facts: Mapping[str, Any]) -> None:
        study, series = facts["study"], facts["series"]
        for uid, size, digest, *remarks in facts["instances"]:
            path = relative_path(study, series, uid)
            known = self._database.execute("select digest from file where path = ?", (path,)).fetchone()
            if known and known[0] != digest:  # no server is known to have the new bytes
                self._database.execute("delete from sent where path = ?", (path,))
            row = (path, study, series, uid, size, digest, facts["origin"], facts["made_here"])
            text = json.dumps(remarks[0]) if remarks else "[]"
            self._database.execute(_INSERT, (*row, facts["at"], text))

    def _remove(self, keys: Sequence[str]) -> None:
        paths = []
        for key in keys:
            if digest := digest_in(key):  # an object, whose instance may have others by now
                path = f"{key.removesuffix(f'.{digest}{SUFFIX}')}{SUFFIX}"
                known = self._database.execute("select digest from file where path = ?", (path,)).fetchone()
                if known and known[0] == digest:
                    paths.append(path)
            else:
                paths.append(key)
        rows = [(path,) for path in paths]
        self._database.executemany("delete from file where path = ?", rows)
        self._database.executemany("delete from sent where path = ?", rows)
        self._database.executemany("delete from pin where path = ?", rows)
        folders = {path.rpartition("/")[0] for path in paths}
        for folder in folders | {folder.partition("/")[0] for folder in folders}:
            below = (f"{folder}/", f"{folder}0")  # the next character after the slash
            if not self._database.execute("select 1 from file where path > ? and path < ?", below).fetchone():
                self._database.execute("delete from pin where path = ?", (folder,))

    def _pin(self, resource: Resource, pinned: bool) -> None:
        path = path_of(resource)
        if pinned:
            uids = json.dumps(uids_of(resource))
            self._database.execute("insert or replace into pin values (?, ?)", (path, uids))
        else:
            self._database.execute(
                "delete from pin where path = ? or path > ? and path < ?", (path, f"{path}/", f"{path}0")
            )


_INSERT = """
insert or replace into file (path, study, series, instance, size, digest, origin, made_here, at, remarks)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ALL = "select study, series, instance, size, digest, origin, made_here, at, remarks from file "
_ONE = _ALL + "where path = ?"
_UNSEEN = _ALL + "where not seen order by study, series, at"
_ALL += "order by study, series, at"


def _recorded(row: Sequence[Any]) -> Recorded:
    resource = Resource(*row[:3])
    return Recorded(resource, row[3], row[4], row[5], bool(row[6]), row[7], tuple(json.loads(row[8])))


def path_of(resource: Resource) -> str:
    """Return the path of a study's or series' folder, or of an instance's file, below ``files/``."""
    path = relative_path(resource.study, resource.series or "", resource.instance or "").split("/")
    return "/".join(path[: ("study", "series", "instance").index(resource.level) + 1])


def stored_records(recorded: Iterator[Recorded]) -> Iterator[Stored]:
    """Return the records that say so, of instances in the order of their series."""

    def common(one: Recorded) -> tuple[str, str, str, bool, float]:
        return one.resource.study, one.resource.series or "", one.origin, one.made_here, one.at

    for (study, series, origin, made_here, at), group in groupby(recorded, common):
        instances = [
            StoredInstance(one.resource.instance or "", one.size, one.digest, one.remarks) for one in group
        ]
        for start in range(0, len(instances), BATCH):
            yield Stored(study, series, instances[start : start + BATCH], origin, made_here, at)


def records_of(state: JournalState) -> Iterator[Record]:
    """Return the fewest records that amount to the same."""
    yield from stored_records(state.all())
    for (server, at), group in groupby(state.sent(), lambda mark: mark[1:]):
        while some := [uids_of(mark[0]) for mark in islice(group, BATCH)]:
            yield Sent(server, some, at)
    for resource in state.pins():
        yield Pinned(uids_of(resource), pinned=True)
