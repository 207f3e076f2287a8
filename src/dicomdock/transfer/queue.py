"""The transfers of this user, kept in a small database, so that they survive a restart or a kill.

Every process of the user sees the same transfers: one that runs here can be paused or cancelled from there.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from dicomdock.config.settings import Settings
from dicomdock.errors import ArchiveError, ArchiveLocked, InvalidInput
from dicomdock.sources import JsonValue
from dicomdock.transfer.progress import Progress

Kind = Literal["pull", "push"]
State = Literal["queued", "running", "paused", "done", "partly", "failed", "cancelled"]
Wish = Literal["", "pause", "cancel"]
ENDED: tuple[State, ...] = ("done", "partly", "failed", "cancelled")

# A running transfer writes its progress at least once a second; silent for this many seconds it is dead.
SILENT_AFTER = 30.0
_BEGUN = time.time()  # this process had claimed nothing before

_SCHEMA = """
create table if not exists transfer (
    id integer primary key,
    kind text not null,
    server text not null,
    resources text not null,
    files text not null,
    options text not null,
    state text not null,
    wish text not null default '',
    message text not null default '',
    progress text not null default '{}',
    report text not null default '{}',
    owner integer not null default 0,
    created real not null,
    updated real not null
);
create table if not exists item (
    transfer integer not null references transfer (id) on delete cascade,
    resource text not null,
    status text not null,
    reason text not null,
    primary key (transfer, resource)
) without rowid;
"""
_COLUMNS = (
    "id, kind, server, resources, files, options, state, message, progress, report, owner, created, updated"
)


@dataclass(frozen=True)
class Transfer:
    """One pull or push.

    Parameters
    ----------
    id : its number, as shown to the user.
    kind : ``pull`` or ``push``.
    server : name of the server.
    resources : what is transferred, as ``STUDY[/SERIES[/INSTANCE]]``.
    files : files to push that are not in the archive.
    options : the options it was started with.
    state : where it stands; ``running`` only while a living process works on it.
    message : what happened last, in words.
    progress : how far it is.
    report : the final report, as the command line gives it; empty before the end.
    created, updated : seconds since the epoch.
    """

    id: int
    kind: Kind
    server: str
    resources: tuple[str, ...]
    files: tuple[str, ...] = ()
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    state: State = "queued"
    message: str = ""
    progress: Progress = field(default_factory=Progress)
    report: Mapping[str, JsonValue] = field(default_factory=dict)
    owner: int = 0
    created: float = 0.0
    updated: float = 0.0

    @property
    def ended(self) -> bool:
        """True when nothing more will happen unless it is resumed."""
        return self.state in ENDED

    @property
    def studies(self) -> tuple[str, ...]:
        """The UIDs of the studies that its resources belong to."""
        return tuple(dict.fromkeys(resource.split("/")[0] for resource in self.resources))

    def to_json(self) -> dict[str, JsonValue]:
        """Give the transfer as the command line shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "server": self.server,
            "resources": list(self.resources),
            "files": list(self.files),
            "state": self.state,
            "message": self.message,
            "done": self.progress.done,
            "expected": self.progress.expected,
            "failed": self.progress.failed,
            "bytes": self.progress.bytes,
            "seconds": round(self.progress.seconds, 3),
            "created": self.created,
            "updated": self.updated,
        }


@dataclass(frozen=True, slots=True)
class Item:
    """The outcome of one instance of a transfer."""

    resource: str
    status: str
    reason: str


class TransferQueue:
    """The transfers of one user.

    Parameters
    ----------
    settings : names the state folder that holds the database.

    Raises
    ------
    ArchiveLocked
        Another process holds the database for too long.
    """

    def __init__(self, settings: Settings) -> None:
        self._file: Path = settings.state / "transfers.db"
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._connection() as connection:
            connection.executescript(_SCHEMA)
            # The last connection to close empties the log and waits for the disk: one stays open, unused.
            weakref.finalize(self, self._open().close)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=10.0, isolation_level=None, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.execute("pragma foreign_keys = on")
        return connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # A connection per use: cheap for SQLite, and safe in every thread.
        try:
            with closing(self._open()) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ArchiveLocked(f"Another process holds {self._file}.") from error
            raise ArchiveError(f"The list of transfers {self._file} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise ArchiveError(
                f"The list of transfers {self._file} is damaged ({error}); move it away to begin a new one."
            ) from error

    def add(
        self,
        kind: Kind,
        server: str,
        resources: Iterable[str] = (),
        *,
        files: Iterable[str] = (),
        options: Mapping[str, JsonValue] | None = None,
        claimed: bool = False,
    ) -> Transfer:
        """Put a transfer at the end of the queue.

        Parameters
        ----------
        claimed : this process works on it itself; without, a running dock may take it up at any moment.
        """
        now = time.time()
        values = (
            kind,
            server,
            json.dumps([*resources]),
            json.dumps([*files]),
            json.dumps({**(options or {})}),
            "running" if claimed else "queued",
            os.getpid() if claimed else 0,
        )
        with self._connection() as connection:
            number = connection.execute(
                "insert into transfer"
                " (kind, server, resources, files, options, state, owner, created, updated)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, now, now),
            ).lastrowid
        return self.get(cast(int, number))

    def get(self, number: int) -> Transfer:
        """Give one transfer.

        Raises
        ------
        InvalidInput
            There is none of this number.
        """
        with self._connection() as connection:
            row = connection.execute(f"select {_COLUMNS} from transfer where id = ?", (number,)).fetchone()  # noqa: S608
        if row is None:
            raise InvalidInput(
                f"There is no transfer {number}; 'dicomdock transfers list' shows those there are."
            )
        return _transfer(row)

    def latest(self, limit: int = 200) -> list[Transfer]:
        """Give the latest transfers, newest first."""
        with self._connection() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from transfer order by id desc limit ?",  # noqa: S608
                (limit,),
            ).fetchall()
        return [_transfer(row) for row in rows]

    def claim(self, number: int) -> bool:
        """Take a queued transfer for this process; False when another was faster."""
        with self._connection() as connection:
            taken = connection.execute(
                "update transfer set state = 'running', wish = '', message = '', owner = ?, updated = ?"
                " where id = ? and state = 'queued'",
                (os.getpid(), time.time(), number),
            )
            return taken.rowcount == 1

    def next_queued(self) -> Transfer | None:
        """Give the oldest transfer that waits."""
        with self._connection() as connection:
            row = connection.execute(
                f"select {_COLUMNS} from transfer where state = 'queued' order by id limit 1"  # noqa: S608
            ).fetchone()
        return None if row is None else _transfer(row)

    def update(self, number: int, progress: Progress) -> Wish:
        """Write the progress down and learn whether somebody wants the transfer to pause or end."""
        with self._connection() as connection:
            row = connection.execute(
                "update transfer set progress = ?, updated = ? where id = ? returning wish",
                (_dump(progress), time.time(), number),
            ).fetchone()
        return cast(Wish, row[0]) if row else "cancel"

    def finish(
        self, number: int, state: State, message: str = "", report: Mapping[str, JsonValue] | None = None
    ) -> None:
        """Write down how a transfer ended or why it waits."""
        with self._connection() as connection:
            connection.execute(
                "update transfer set state = ?, wish = '', message = ?, report = ?, owner = 0, updated = ?"
                " where id = ?",
                (state, _text(message), json.dumps({**(report or {})}), time.time(), number),
            )

    def request(self, number: int, wish: Literal["pause", "cancel"]) -> Transfer:
        """Ask a transfer to pause or end; a waiting one does so at once, a running one within a second."""
        state: State = "paused" if wish == "pause" else "cancelled"
        with self._connection() as connection:
            connection.execute(
                "update transfer set wish = ? where id = ? and state = 'running'", (wish, number)
            )
            connection.execute(
                "update transfer set state = ?, message = '', updated = ?"
                " where id = ? and state in ('queued', 'paused')",
                (state, time.time(), number),
            )
        return self.get(number)

    def resume(self, number: int) -> Transfer:
        """Queue a paused, failed, cancelled or partly done transfer again; what is done is not done twice."""
        self.recover()
        with self._connection() as connection:
            connection.execute(
                "update transfer set state = 'queued', wish = '', message = '', updated = ?"
                " where id = ? and state in ('paused', 'partly', 'failed', 'cancelled')",
                (time.time(), number),
            )
        return self.get(number)

    def forget(self, number: int) -> None:
        """Take an ended transfer off the list."""
        with self._connection() as connection:
            connection.execute(
                "delete from transfer where id = ? and state not in ('queued', 'running')", (number,)
            )

    def record(self, number: int, items: Iterable[Item], *, anew: bool = False) -> None:
        """Write down the outcome of instances; a later outcome replaces an earlier one.

        Parameters
        ----------
        anew : these are all there are: what an earlier run wrote down is forgotten.
        """
        rows = [(number, item.resource, item.status, _text(item.reason)) for item in items]
        with self._connection() as connection:
            connection.execute("begin immediate")
            if anew:
                connection.execute("delete from item where transfer = ?", (number,))
            connection.executemany("insert or replace into item values (?, ?, ?, ?)", rows)
            connection.execute("commit")

    def items(self, number: int, *statuses: str) -> list[Item]:
        """Give the recorded outcomes of a transfer; all, or those with one of these statuses."""
        marks = ",".join("?" * len(statuses))
        chosen = f" and status in ({marks})" if statuses else ""
        with self._connection() as connection:
            rows = connection.execute(
                f"select resource, status, reason from item where transfer = ?{chosen} order by resource",  # noqa: S608
                (number, *statuses),
            ).fetchall()
        return [Item(*row) for row in rows]

    def recover(self) -> list[Transfer]:
        """Find transfers whose process has died; they wait as paused, or as queued where a dock ran them."""
        with self._connection() as connection:
            rows = connection.execute(f"select {_COLUMNS} from transfer where state = 'running'").fetchall()  # noqa: S608
        dead = [item for item in map(_transfer, rows) if not _alive(item)]
        for transfer in dead:
            state: State = "queued" if transfer.options.get("background") else "paused"
            self.finish(transfer.id, state, "interrupted: the program that ran it has ended")
        return dead


def _text(words: str) -> str:
    """Give words that a database takes: a server's JSON can hold half of a letter."""
    return words.encode("utf-8", "replace").decode("utf-8")


def _alive(transfer: Transfer) -> bool:
    if transfer.owner == os.getpid():
        return transfer.updated >= _BEGUN  # in a container an earlier process often had our number
    if sys.platform == "win32":  # os.kill would end the other process, or the whole console
        return time.time() - transfer.updated < SILENT_AFTER
    try:
        os.kill(transfer.owner, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as somebody else
    return time.time() - transfer.updated < SILENT_AFTER


def _dump(progress: Progress) -> str:
    return json.dumps(
        {
            "done": progress.done,
            "expected": progress.expected,
            "failed": progress.failed,
            "bytes": progress.bytes,
            "seconds": progress.seconds,
            "doing": progress.doing,
        }
    )


def _transfer(row: tuple[object, ...]) -> Transfer:
    (
        number,
        kind,
        server,
        resources,
        files,
        options,
        state,
        message,
        progress,
        report,
        owner,
        created,
        updated,
    ) = row
    return Transfer(
        id=cast(int, number),
        kind=cast(Kind, kind),
        server=cast(str, server),
        resources=tuple(json.loads(cast(str, resources))),
        files=tuple(json.loads(cast(str, files))),
        options=json.loads(cast(str, options)),
        state=cast(State, state),
        message=cast(str, message),
        progress=Progress(**json.loads(cast(str, progress))),
        report=json.loads(cast(str, report)),
        owner=cast(int, owner),
        created=cast(float, created),
        updated=cast(float, updated),
    )
