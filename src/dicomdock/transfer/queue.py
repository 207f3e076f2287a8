"""The transfers of this user, in a small database, so that they survive a restart or a kill.

Every process of the user sees the same transfers: one that runs here can be paused or cancelled from there.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

from dicomdock.config.home import check_writable
from dicomdock.config.settings import Settings
from dicomdock.errors import InvalidInput
from dicomdock.sources import JsonValue
from dicomdock.transfer.database import NAME, Database
from dicomdock.transfer.owner import Owner
from dicomdock.transfer.progress import Progress

Kind: TypeAlias = Literal["pull", "push"]
State: TypeAlias = Literal["queued", "running", "paused", "done", "partly", "failed", "cancelled"]
Request: TypeAlias = Literal["", "pause", "cancel"]
ENDED: tuple[State, ...] = ("done", "partly", "failed", "cancelled")

HISTORY = 200  # ended transfers that stay on the list
DETAILED = 20  # of the done ones, the latest that keep the outcome of each instance
_DONE_ITEMS = "('stored', 'duplicate')"  # outcomes that nobody asks for once all is done
# A list of transfers never reads the reports: that of a push has a row for each instance.
_COLUMNS = "id, kind, server, resources, files, options, state, message, progress, created, updated"


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
    report : the final report, as the command line gives it; empty before the end, and in lists.
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
    created: float = 0.0
    updated: float = 0.0

    @property
    def worth_resuming(self) -> bool:
        """It was stopped, or another try may bring more: not all that failed cannot be sent as it is."""
        if self.state in ("failed", "partly"):
            return not 0 < self.progress.failed == self.progress.unsendable
        return self.state in ("paused", "cancelled")

    @property
    def ended(self) -> bool:
        """True when nothing more will happen unless it is resumed."""
        return self.state in ENDED

    @property
    def studies(self) -> tuple[str, ...]:
        """The UIDs of the studies that its resources belong to."""
        return tuple(dict.fromkeys(resource.split("/")[0] for resource in self.resources))

    def to_json(self) -> dict[str, JsonValue]:
        """Return the transfer as the command line shows it."""
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
    ArchiveTooNew
        A later version of dicomdock wrote it.
    ReadOnlyHome
        The state folder cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        check_writable(settings.state, NAME)
        self._database = Database(settings.state / "transfers.db")
        self._owner = Owner(settings.state / "owners")
        self._claimed: set[int] = set()  # by this process, where the file system has no locks

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
        """Put a transfer at the end of the queue, and prune the history.

        Parameters
        ----------
        claimed : this process works on it itself; without, a running dock may start it at any moment.
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
            self._owner.name if claimed else "",
            now,
            now,
        )

        def insert(connection: sqlite3.Connection) -> int:
            _prune(connection)
            added = connection.execute(
                "insert into transfer"
                " (kind, server, resources, files, options, state, owner, owner_lock, created, updated)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            return cast(int, added.lastrowid)

        number = self._database.write(insert)
        if claimed:
            self._claimed.add(number)
        return self.get(number)

    def get(self, number: int) -> Transfer:
        """Return one transfer with its report.

        Raises
        ------
        InvalidInput
            There is none of this number.
        """
        row = self._database.read(
            lambda connection: connection.execute(
                f"select {_COLUMNS}, report from transfer where id = ?",  # noqa: S608
                (number,),
            ).fetchone()
        )
        if row is None:
            raise InvalidInput(
                f"There is no transfer {number}; 'dicomdock transfers list' shows those there are."
            )
        return _transfer(row)

    def latest(self, limit: int = HISTORY) -> list[Transfer]:
        """Return the latest transfers, newest first, without their reports."""
        return self._select("order by id desc limit ?", limit)

    def active(self, kind: Kind, server: str) -> list[Transfer]:
        """Return the transfers with a server that wait or run, without those that somebody asked to stop."""
        going_on = "(state = 'queued' or (state = 'running' and wish = ''))"
        return self._select(f"where kind = ? and server = ? and {going_on} order by id", kind, server)

    def claim(self, number: int) -> bool:
        """Take a queued transfer for this process; False when another was faster."""
        owner = self._owner.name
        taken = self._database.write(
            lambda connection: (
                connection.execute(
                    "update transfer set state = 'running', wish = '', message = '', owner = ?,"
                    " owner_lock = ?, updated = ? where id = ? and state = 'queued'",
                    (os.getpid(), owner, time.time(), number),
                ).rowcount
            )
        )
        if taken:
            self._claimed.add(number)
        return taken == 1

    def next_queued(self) -> Transfer | None:
        """Return the oldest transfer that waits."""
        return next(iter(self._select("where state = 'queued' order by id limit 1")), None)

    def update(self, number: int, progress: Progress) -> Request:
        """Save the progress and return whether somebody wants the transfer to pause or end."""
        row = self._database.write(
            lambda connection: connection.execute(
                "update transfer set progress = ?, updated = ? where id = ? returning wish",
                (_dump(progress), time.time(), number),
            ).fetchone()
        )
        return cast(Request, row[0]) if row else ""  # the list was begun anew: the transfer goes on

    def finish(
        self, number: int, state: State, message: str = "", report: Mapping[str, JsonValue] | None = None
    ) -> None:
        """Save how a transfer ended or why it waits."""
        values = (state, _text(message), json.dumps({**(report or {})}), time.time(), number)
        self._database.write(
            lambda connection: connection.execute(
                "update transfer set state = ?, wish = '', message = ?, report = ?, owner = 0,"
                " owner_lock = '', updated = ? where id = ?",
                values,
            )
        )
        self._claimed.discard(number)

    def request(self, number: int, request: Literal["pause", "cancel"]) -> Transfer:
        """Ask a transfer to pause or end; a waiting one does so at once, a running one within a second."""
        state: State = "paused" if request == "pause" else "cancelled"

        def ask(connection: sqlite3.Connection) -> None:
            connection.execute(
                "update transfer set wish = ? where id = ? and state = 'running'", (request, number)
            )
            connection.execute(
                "update transfer set state = ?, message = '', updated = ?"
                " where id = ? and state in ('queued', 'paused')",
                (state, time.time(), number),
            )

        self._database.write(ask)
        return self.get(number)

    def resume(self, number: int) -> Transfer:
        """Queue a paused, failed, cancelled or partly done transfer again; what is done is not done twice."""
        self.recover()
        self._database.write(
            lambda connection: connection.execute(
                "update transfer set state = 'queued', wish = '', message = '', updated = ?"
                " where id = ? and state in ('paused', 'partly', 'failed', 'cancelled')",
                (time.time(), number),
            )
        )
        return self.get(number)

    def forget(self, number: int) -> None:
        """Delete an ended or paused transfer from the list."""
        self._database.write(
            lambda connection: connection.execute(
                "delete from transfer where id = ? and state not in ('queued', 'running')", (number,)
            )
        )

    def record(self, number: int, items: Iterable[Item], *, anew: bool = False) -> None:
        """Save the outcome of instances; a later outcome replaces an earlier one.

        Parameters
        ----------
        anew : these are all there are: what an earlier run saved is deleted.
        """
        rows = [(number, item.resource, item.status, _text(item.reason)) for item in items]

        def insert(connection: sqlite3.Connection) -> None:
            if anew:
                connection.execute("delete from item where transfer = ?", (number,))
            # Not for a transfer that is gone from the list, which a damaged database takes with it.
            if connection.execute("select 1 from transfer where id = ?", (number,)).fetchone():
                connection.executemany("insert or replace into item values (?, ?, ?, ?)", rows)

        self._database.write(insert)

    def items(self, number: int, *statuses: str) -> list[Item]:
        """Return the saved outcomes of a transfer; all, or those with one of these statuses.

        Of done transfers that are not among the latest, what was stored is not listed any more.
        """
        marks = ",".join("?" * len(statuses))
        chosen = f" and status in ({marks})" if statuses else ""
        rows = self._database.read(
            lambda connection: connection.execute(
                f"select resource, status, reason from item where transfer = ?{chosen} order by resource",  # noqa: S608
                (number, *statuses),
            ).fetchall()
        )
        return [Item(*row) for row in rows]

    def recover(self) -> list[Transfer]:
        """Find transfers whose process has died; they wait as paused, or as queued where a dock ran them."""
        owners = self._database.read(
            lambda connection: connection.execute(
                "select id, owner, owner_lock from transfer where state = 'running'"
            ).fetchall()
        )
        dead = {number: lock for number, owner, lock in owners if not self._is_alive(number, owner, lock)}
        recovered = []
        for number, lock in dead.items():
            transfer = self.get(number)
            state: State = "queued" if transfer.options.get("background") else "paused"
            values = (state, "interrupted: the program that ran it has ended", time.time(), number, lock)
            changed = self._database.write(
                lambda connection, values=values: (
                    connection.execute(  # type: ignore[misc]
                        "update transfer set state = ?, wish = '', message = ?, owner = 0, owner_lock = '',"
                        " updated = ? where id = ? and state = 'running' and owner_lock = ?",
                        values,
                    ).rowcount
                )
            )
            if changed:  # else another process was faster, and may be at work on it
                recovered.append(transfer)
        return recovered

    def _is_alive(self, number: int, process: int, lock: str) -> bool:
        if lock:
            return self._owner.is_alive(lock)
        if process == os.getpid() or sys.platform == "win32":  # os.kill would end the other process there
            return number in self._claimed
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # it lives, as another user
        return process > 0

    def _select(self, clause: str, *values: object) -> list[Transfer]:
        rows = self._database.read(
            lambda connection: connection.execute(
                f"select {_COLUMNS} from transfer {clause}",  # noqa: S608
                values,
            ).fetchall()
        )
        return [_transfer(row) for row in rows]


def _prune(connection: sqlite3.Connection) -> None:
    """Delete the oldest ended transfers, and what only the latest of the done ones need to know."""
    ended = "('done', 'partly', 'failed', 'cancelled')"
    connection.execute(
        f"delete from transfer where id in (select id from transfer where state in {ended}"  # noqa: S608
        " order by id desc limit -1 offset ?)",
        (HISTORY,),
    )
    older = "(select id from transfer where state = 'done' order by id desc limit -1 offset ?)"
    connection.execute(
        f"delete from item where transfer in {older} and status in {_DONE_ITEMS}",  # noqa: S608
        (DETAILED,),
    )
    connection.execute(
        f"update transfer set report = json_remove(report, '$.results') where id in {older}"  # noqa: S608
        " and json_type(report, '$.results') is not null",
        (DETAILED,),
    )


def _text(message: str) -> str:
    """Return text that a database takes: a server's JSON can hold half of a letter."""
    return message.encode("utf-8", "replace").decode("utf-8")


def _dump(progress: Progress) -> str:
    return json.dumps(
        {
            "done": progress.done,
            "expected": progress.expected,
            "failed": progress.failed,
            "bytes": progress.bytes,
            "seconds": progress.seconds,
            "doing": progress.doing,
            "unsendable": progress.unsendable,
        }
    )


def _transfer(row: tuple[object, ...]) -> Transfer:
    number, kind, server, resources, files, options, state, message, progress, created, updated = row[:11]
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
        report=json.loads(cast(str, row[11])) if len(row) > 11 else {},
        created=cast(float, created),
        updated=cast(float, updated),
    )
