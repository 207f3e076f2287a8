"""Find the row at an offset without reading all rows before it.

A table beside each level counts its rows in parts: studies by their date, series and instances by ranges of
their ids. Triggers bring the counts up to date, but for new instances: SQLite would take twice the time to
insert each, so whoever inserts them counts them. Adding the counts up leads to the part that holds the
offset, and only there rows are passed over one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from dicomdock.archive.index.clauses import Clause, all_of
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.schema import (
    Dialect,
    Table,
    instance,
    instance_count,
    series,
    series_count,
    study,
    study_count,
)

IDS = 16_384  # in one part; ten million rows are 600 parts


@dataclass(frozen=True, slots=True)
class Counted:
    """A level whose rows are counted, and the parts of their order.

    Parameters
    ----------
    table : its rows.
    counts : the table of the counts.
    column : that orders the rows.
    size : values of the column in a part; 0 where each value is one.
    descending : the largest first.
    low, high : of the values that are asked for, both included; empty for no bound.
    """

    table: Table
    counts: Table
    column: str
    size: int = 0
    descending: bool = False
    low: str = ""
    high: str = ""

    def part(self, row: str) -> str:
        """Return SQL for the part of a row, which has this name."""
        value = f'{row}."{self.column}"'
        return f"{value} / {self.size}" if self.size else value

    def seek(self, connection: Connection, count: int) -> tuple[Clause, int]:
        """Return where the part with row ``count`` begins, and how many rows to pass over in it.

        Rows that are not counted come after the last part.
        """
        order = "DESC" if self.descending else "ASC"
        bounds = [Clause('"rows" > 0')]
        bounds += [Clause("part >= ?", (self.low,))] if self.low else []
        bounds += [Clause("part <= ? AND part <> ''", (self.high,))] if self.high else []
        asked = all_of(bounds)
        statement = f'SELECT part, "rows" FROM {self.counts.name} WHERE {asked.sql} ORDER BY part {order}'
        clause, left = all_of(()), count
        sign = "<=" if self.descending else ">="
        begin, rows = None, 0
        for part, size in connection.each(statement, *asked.values):
            if begin is not None and left < rows:
                break
            left -= rows
            begin, rows = part, size
        if begin is not None:
            first = begin * self.size if self.size else begin
            clause = Clause(f'{self.table.name}."{self.column}" {sign} ?', (first,))
        return clause, left


COUNTED: Mapping[str, Counted] = {
    one.table.name: one
    for one in (
        Counted(study, study_count, "StudyDate", descending=True),
        Counted(series, series_count, "id", IDS),
        Counted(instance, instance_count, "id", IDS),
    )
}


def create(connection: Connection) -> None:
    """Count the rows of all levels, and make the triggers that count on."""
    for one in COUNTED.values():
        row = one.table.name
        connection.execute(
            f"INSERT INTO {one.counts.name} SELECT {one.part(row)}, COUNT(*) FROM {row} GROUP BY 1"
        )
        for statement in _triggers(one, connection.dialect):
            connection.execute(statement)


@contextmanager
def counting_instances(connection: Connection) -> Iterator[None]:
    """Count the instances that are inserted meanwhile."""
    (last,) = connection.column("SELECT COALESCE(max(id), 0) FROM instance")
    yield
    one = COUNTED["instance"]
    row, counts = one.table.name, one.counts.name
    connection.execute(
        f"""
        INSERT INTO {counts} SELECT {one.part(row)}, COUNT(*) FROM {row} WHERE id > ? GROUP BY 1
        ON CONFLICT (part) DO UPDATE SET "rows" = {counts}."rows" + excluded."rows"
        """,
        last,
    )


def _triggers(one: Counted, dialect: Dialect) -> Iterator[str]:
    table, counts = one.table.name, one.counts.name
    more = (
        f'INSERT INTO {counts} (part, "rows") VALUES ({one.part("new")}, 1)'
        f' ON CONFLICT (part) DO UPDATE SET "rows" = {counts}."rows" + 1'
    )
    less = f'UPDATE {counts} SET "rows" = "rows" - 1 WHERE part = {one.part("old")}'
    events: dict[str, tuple[str, ...]] = {"DELETE": (less,)}
    if one.table is not instance:
        events["INSERT"] = (more,)
    if not one.size:  # ids stay
        events[f'UPDATE OF "{one.column}"'] = (less, more)
    for event, statements in events.items():
        name = f"{counts}_{event.partition(' ')[0].lower()}"
        body = "; ".join(statements)
        if dialect == "sqlite":
            yield f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {body}; END"
        else:
            yield (
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$BEGIN {body}; RETURN NULL; END$$"
            )
            yield f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
