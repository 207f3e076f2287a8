"""Grid: a list of any length with columns, selection and keys; ``grid.js`` is its part in the browser."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from dicomdock.dock.widgets.basics import STATE_WORDS, State

ColumnKind = Literal["text", "num", "mark", "thumb", "lines", "progress"]
Handler: TypeAlias = Callable[..., Awaitable[None] | None]


AT_ONCE = 1000  # rows that are written before other pages have their turn; about 10 ms


@dataclass(frozen=True)
class Column:
    """A column.

    Parameters
    ----------
    name : the key of its cells.
    label : its heading.
    width : pixels, or a CSS track such as ``minmax(120px, 2fr)``.
    kind : how a cell is shown. The cell's value is: text or num: text; mark: a ``State``; thumb: the address
        of a picture; lines: two texts, one below the other; progress: (percent or None, text).
    sortable : a click on its heading sorts.
    link : its text is a link to the address of the row.
    yields : which columns give way first where the list is too narrow for all: the highest; 0 always stays.
    """

    name: str
    label: str
    width: int | str = "1fr"
    kind: ColumnKind = "text"
    sortable: bool = True
    link: bool = False
    yields: int = 0


@dataclass(frozen=True)
class Row:
    """A row.

    Parameters
    ----------
    key : what distinguishes it from all others.
    cells : by column name.
    sort : values to sort by, where they differ from the text.
    dim : it stands back: it will go, or is not there.
    tone : "bad" where it reports a failure.
    href : the address of what it stands for; empty where it has none.
    """

    key: str
    cells: Mapping[str, Any]
    sort: Mapping[str, str | float] = field(default_factory=dict)
    dim: bool = False
    tone: Literal["", "bad"] = ""
    href: str = ""


class Grid(Element, component="grid.js"):
    """A list of rows, walked and selected by keyboard and mouse.

    *Current* is the row that the arrow keys stand on; *selected* are the rows with a tick.

    Parameters
    ----------
    columns : from left to right.
    label : its name for screen readers.
    row_height : pixels.
    headless : without headings.
    selectable : rows have a tick.
    sort_by, descending : how it is sorted at first; "" keeps the order in which rows came.
    on_current, on_open : called with the key of a row.
    on_select : called with the keys of the selected rows.
    on_more : called when the end comes into sight and ``set_more`` announced more.
    on_sort : called with a column's name and whether the order is descending.
    on_narrowed : called with the number of rows that ``narrow`` leaves; None where it shows all.
    on_widths : called with the widths, in pixels by column name, when the user changes one.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        label: str,
        row_height: int = 32,
        headless: bool = False,
        selectable: bool = True,
        sort_by: str = "",
        descending: bool = False,
        on_current: Handler | None = None,
        on_open: Handler | None = None,
        on_select: Handler | None = None,
        on_more: Handler | None = None,
        on_sort: Handler | None = None,
        on_widths: Handler | None = None,
        on_narrowed: Handler | None = None,
        testid: str = "",
    ) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.props["label"] = label
        self.props["rowHeight"] = row_height
        self.props["headless"] = headless
        self.props["selectable"] = selectable
        self.props["openable"] = on_open is not None
        self.props["initialSort"] = {"by": sort_by, "descending": descending}
        self._kinds = {column.name: column.kind for column in columns}
        self.set_columns(columns)
        if testid:
            self.props["data-testid"] = testid
        self._listen("current", on_current, lambda key: (key,))
        self._listen("open", on_open, lambda key: (key,))
        self._listen("select", on_select, lambda keys: (keys,))
        self._listen("more", on_more, lambda _: ())
        self._listen("sort", on_sort, lambda sort: (sort["by"], sort["descending"]))
        self._listen("widths", on_widths, lambda widths: (widths,))
        self._listen("narrowed", on_narrowed, lambda count: (count,))

    def _listen(self, event: str, handler: Handler | None, unpack: Callable[[Any], tuple[Any, ...]]) -> None:
        if handler is not None:
            self.on(event, lambda arguments: handler(*unpack(_argument(arguments))))

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns."""
        self.columns = tuple(columns)
        self._kinds = {column.name: column.kind for column in columns}
        self.props["columns"] = [
            {
                "name": column.name,
                "label": column.label,
                "width": column.width,
                "kind": column.kind,
                "sortable": column.sortable,
                "link": column.link,
                "yields": column.yields,
            }
            for column in columns
        ]
        self.update()

    def set_rows(self, rows: Iterable[Row]) -> None:
        """Show these rows and no others; the selection stays where its rows stay."""
        self.run_method("setRows", [self._written(row) for row in rows])

    async def set_many_rows(self, rows: Iterable[Row], wanted: Callable[[], bool]) -> None:
        """Show these rows and no others, some at a time: the dock's other pages have their turns between.

        Parameters
        ----------
        wanted : whether they are still to be shown; the rest is left out where they are not.
        """
        left = iter(rows)
        self.set_rows(islice(left, AT_ONCE))
        await asyncio.sleep(0)
        await self.patch_many_rows(left, wanted)

    async def patch_many_rows(self, rows: Iterable[Row], wanted: Callable[[], bool]) -> None:
        """Replace rows by their key, and add those that are new, some at a time, as ``set_many_rows``."""
        left = iter(rows)
        while wanted() and (some := list(islice(left, AT_ONCE))):
            self.patch_rows(some)
            await asyncio.sleep(0)

    def patch_rows(self, rows: Iterable[Row]) -> None:
        """Replace rows by their key, and add those that are new."""
        written = [self._written(row) for row in rows]
        if written:
            self.run_method("patchRows", written)

    def remove_rows(self, keys: Iterable[str]) -> None:
        """Take rows away."""
        self.run_method("removeRows", list(keys))

    def set_more(self, more: bool, *, loading: bool = False) -> None:
        """Set whether there are more rows."""
        self.run_method("setMore", more, loading)

    def set_current(self, key: str, *, focus: bool = False) -> None:
        """Go to a row."""
        self.run_method("setCurrent", key, focus)

    def take_focus(self) -> None:
        """Move the keyboard focus to the list."""
        self.run_method("takeFocus")

    def set_widths(self, widths: Mapping[str, int]) -> None:
        """Set the column widths that the user chose before."""
        self.run_method("setWidths", dict(widths))

    def narrow(self, words: str) -> None:
        """Show only rows that have all these words somewhere in their text; "" shows all."""
        self.run_method("narrow", words)

    def select(self, keys: Iterable[str]) -> None:
        """Select these rows and no others."""
        self.run_method("select", list(keys))

    def _written(self, row: Row) -> dict[str, Any]:
        cells = {name: self._cell(self._kinds.get(name, "text"), value) for name, value in row.cells.items()}
        written: dict[str, Any] = {"key": row.key, "cells": cells}
        if row.sort:
            written["sort"] = dict(row.sort)
        if row.dim:
            written["dim"] = True
        if row.tone:
            written["tone"] = row.tone
        if row.href:
            written["href"] = row.href
        return written

    @staticmethod
    def _cell(kind: ColumnKind, value: Any) -> Any:
        if kind == "mark" and value:
            state: State = value
            return {"state": state, "word": STATE_WORDS[state]}
        if kind == "progress" and value:
            percent, text = value
            return {"percent": percent, "text": text}
        return value


def _argument(event: GenericEventArguments) -> Any:
    return event.args
