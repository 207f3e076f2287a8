"""Outcomes: what became of each series of a cohort, by task, in a small database that outlives processes."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from dicomdock.cohort.table import Cell
from dicomdock.dicom.resource import Resource
from dicomdock.sources import JsonValue
from dicomdock.transfer.database import Database

State = Literal["done", "unproven", "failed", "passed over"]
NOT_PULLED = "It is not in the archive; pull the cohort first."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a series in a task.

    Parameters
    ----------
    resource : the series.
    state : ``done``; ``unproven``, where all that came is there, but its server does not say how much there
        is, which another try would not change; ``failed``; or ``passed over``, where the task is nothing for
        such a series.
    reason : why it is not done, or what is to be known of it.
    result : the numbers of it.
    seconds : how long it took.
    hold : seconds for which its server wants no request.
    """

    resource: Resource
    state: State
    reason: str = ""
    result: Mapping[str, Cell] = field(default_factory=dict)
    seconds: float = 0.0
    hold: float = 0.0


def _tables(connection: sqlite3.Connection) -> None:
    connection.execute(
        """
        create table outcome (
            task text not null,
            series text not null,
            state text not null,
            reason text not null,
            result text not null,
            seconds real not null,
            updated real not null,
            primary key (task, series)
        ) without rowid
        """
    )
    connection.execute(
        "create table task (task text primary key, options text not null, updated real not null)"
    )


MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (_tables,)


class Outcomes:
    """The outcomes of a cohort's series. A series without one is still to be done."""

    def __init__(self, file: Path) -> None:
        self._database = Database(file, MIGRATIONS, "The state of a cohort")

    def of(self, task: str) -> dict[Resource, Outcome]:
        """Return the outcomes of a task."""
        rows = self._database.read(
            lambda connection: connection.execute(
                "select series, state, reason, result, seconds from outcome where task = ?", (task,)
            ).fetchall()
        )
        return {outcome.resource: outcome for outcome in map(_read, rows)}

    def tasks(self) -> dict[str, dict[str, JsonValue]]:
        """Return the tasks that were begun, with their options, the last one first."""
        rows = self._database.read(
            lambda connection: connection.execute(
                "select task, options from task order by updated desc, task"
            ).fetchall()
        )
        return {task: json.loads(options) for task, options in rows}

    def begin(self, task: str, options: Mapping[str, JsonValue]) -> None:
        """Note that a task is worked on, with what it needs to go on later."""
        row = (task, json.dumps(dict(options)), time.time())
        self._database.write(
            lambda connection: connection.execute("insert or replace into task values (?, ?, ?)", row)
        )

    def record(self, task: str, outcome: Outcome) -> None:
        """Write what became of a series; a former outcome is replaced."""
        row = (
            task,
            str(outcome.resource),
            outcome.state,
            outcome.reason,
            json.dumps(dict(outcome.result)),
            outcome.seconds,
            time.time(),
        )
        self._database.write(
            lambda connection: connection.execute(
                "insert or replace into outcome values (?, ?, ?, ?, ?, ?, ?)", row
            )
        )

    def forget(self, task: str) -> None:
        """Remove the outcomes of a task, so that all of it is done again."""
        self._database.write(
            lambda connection: connection.execute("delete from outcome where task = ?", (task,))
        )


def _read(row: tuple[str, str, str, str, float]) -> Outcome:
    series, state, reason, result, seconds = row
    return Outcome(Resource.parse(series), cast("State", state), reason, json.loads(result), seconds)
