"""Write a table as CSV that a spreadsheet shows as it is, whatever servers and files put into its texts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet computes what begins so, or behind it


def csv_of(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Return a table as CSV with a header line; None is an empty field.

    A text that a spreadsheet would take for a formula, such as a name ``=HYPERLINK(...)``, has an apostrophe
    before it, by which spreadsheets know a text. Numbers stay numbers.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return file.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str) or len(value) < 2 or not value.lstrip(" ").startswith(FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
