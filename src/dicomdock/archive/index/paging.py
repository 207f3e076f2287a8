"""Read the rows of a search page by page: each page begins behind the last row of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dicomdock.archive.index.clauses import Clause, all_of, any_of
from dicomdock.archive.index.connection import Connection, Row
from dicomdock.archive.index.offsets import Counted
from dicomdock.archive.index.schema import Value, marks


@dataclass(frozen=True, slots=True)
class Order:
    """The order of rows.

    Parameters
    ----------
    columns : by which they are ordered; no two rows have the same values.
    descending : the largest first.
    keyed : a row is found again by the values of these columns, none of which is NULL; else they are sorted
        each time.
    turned : columns whose direction is the other one.
    """

    columns: tuple[str, ...]
    descending: bool = False
    keyed: bool = True
    turned: frozenset[str] = frozenset()

    @property
    def sql(self) -> str:
        """What stands behind ORDER BY."""
        return ", ".join(f"{column} DESC" if self._falls(column) else column for column in self.columns)

    def behind(self, key: Sequence[Value]) -> Clause:
        """Return the condition that a row comes behind the one with these values."""
        if not self.turned:
            sign = "<" if self.descending else ">"
            return Clause(f"({', '.join(self.columns)}) {sign} ({marks(len(key))})", tuple(key))
        pairs = tuple(zip(self.columns, key, strict=True))
        behind = any_of(
            all_of(
                (
                    *(Clause(f"{same} = ?", (value,)) for same, value in pairs[:at]),
                    Clause(f"{column} {'<' if self._falls(column) else '>'} ?", (here,)),
                )
            )
            for at, (column, here) in enumerate(pairs)
        )
        first, begin = pairs[0]  # said once more, so that an index leads there
        return all_of((Clause(f"{first} {'<=' if self._falls(first) else '>='} ?", (begin,)), behind))

    def sorting(self) -> Order:
        """Return the same order in expressions that no index has, for rows that have to be sorted."""
        columns = [column if column.endswith(".id") else f"COALESCE({column}, '')" for column in self.columns]
        turned = (name for column, name in zip(self.columns, columns, strict=True) if column in self.turned)
        return replace(self, columns=tuple(columns), turned=frozenset(turned))

    def _falls(self, column: str) -> bool:
        return self.descending is not (column in self.turned)


class Rows:
    """The rows of a search.

    Parameters
    ----------
    columns : that are read.
    tables : that they are in.
    narrow : tables that suffice to find the rows.
    clause : the rows satisfy it.
    order : of the rows.
    counted : the rows are all of a level, or those within its bounds, in the order in which they are counted.
    any_ : False where it is known that there are none.
    found_by : the column of ids of the matches' table, where many rows have to be sorted: only those of a
        page are then read in full.
    """

    def __init__(
        self,
        columns: Sequence[str],
        tables: str,
        narrow: str,
        clause: Clause,
        order: Order,
        *,
        counted: Counted | None = None,
        any_: bool = True,
        found_by: str = "",
    ) -> None:
        self._columns, self._tables, self._narrow = columns, tables, narrow
        self._clause, self._order, self._counted = clause, order, counted
        self._found_by = found_by
        self._key: tuple[Value, ...] | None = None
        self._passed = 0
        self.more = any_
        """Whether rows may follow."""

    def pass_over(self, connection: Connection, count: int) -> int:
        """Begin behind so many rows, and return how many there were."""
        if not self._order.keyed:
            self._passed = count
        elif count and self.more:
            clause, last = self._clause, count - 1
            if self._counted is not None:
                begin, last = self._counted.seek(connection, last)
                clause = all_of((begin, clause))
            # Only what orders them is read, mostly from an index alone.
            row = connection.first(
                f"SELECT {', '.join(self._order.columns)} FROM {self._narrow} WHERE {clause.sql}"
                f" ORDER BY {self._order.sql} LIMIT 1 OFFSET ?",
                *clause.values,
                last,
            )
            self._key, self.more = row, row is not None
            if row is None:
                statement = f"SELECT COUNT(*) FROM {self._narrow} WHERE {self._clause.sql}"
                return int(connection.column(statement, *self._clause.values)[0])
        return count

    def next(self, connection: Connection, count: int) -> list[Row]:
        """Return the next rows, at most so many."""
        if not self.more:
            return []
        keys = self._order.columns if self._order.keyed else ()
        clause = self._clause
        if self._key is not None:
            clause = all_of((self._order.behind(self._key), clause))
        chosen = f"WHERE {clause.sql} ORDER BY {self._order.sql} LIMIT ? OFFSET ?"
        if self._found_by:
            ids = f"SELECT {self._found_by} FROM {self._narrow} {chosen}"
            chosen = f"WHERE {self._found_by} IN ({ids}) ORDER BY {self._order.sql}"
        rows = connection.all(
            f"SELECT {', '.join((*self._columns, *keys))} FROM {self._tables} {chosen}",
            *clause.values,
            count + 1,
            self._passed,
        )
        self.more = len(rows) > count
        rows = rows[:count]
        if rows and keys:
            self._key = rows[-1][-len(keys) :]
        elif not keys:
            self._passed += len(rows)
        return rows


class Stretches:
    """The rows of a search that are read in several stretches, one after the other.

    Parameters
    ----------
    stretches : in their order.
    """

    def __init__(self, stretches: Sequence[Rows]) -> None:
        self._left = list(stretches)
        self.more = True
        """Whether rows may follow."""

    def pass_over(self, connection: Connection, count: int) -> int:
        """Begin behind so many rows, and return how many there were."""
        passed = 0
        while self._left and passed < count:
            passed += self._left[0].pass_over(connection, count - passed)
            if not self._left[0].more:
                self._left.pop(0)
        self.more = bool(self._left)
        return passed

    def next(self, connection: Connection, count: int) -> list[Row]:
        """Return the next rows, at most so many."""
        rows: list[Row] = []
        while self._left:
            rows += self._left[0].next(connection, count - len(rows))
            if self._left[0].more:
                break
            self._left.pop(0)
        self.more = bool(self._left)
        return rows
