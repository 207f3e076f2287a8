"""Results: what became of each series of a cohort in a task, as a table for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Cell, Item, facts_of, write_rows
from dicomdock.cohort.task import TaskReport
from dicomdock.config.home import write_private
from dicomdock.errors import InvalidInput
from dicomdock.imaging.formats.csv_text import csv_of

_COLUMNS = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Modality", "SeriesDescription")
_FACTS = ("state", "reason", "seconds")


def check(path: Path) -> None:
    """Refuse a file that results cannot be written to.

    Results of an earlier run are replaced, so that the same command can go on; no other file is.

    Raises
    ------
    InvalidInput
        Its name states neither Parquet nor CSV, its folder is not there, or it is somebody else's.
    """
    kind = path.suffix.lower()
    if kind not in (".parquet", ".csv"):
        raise InvalidInput(f"Results are written as .parquet or .csv, not {path.name}.")
    if not path.parent.is_dir():
        raise InvalidInput(f"There is no folder {path.parent}.")
    if path.exists() and not _is_ours(path):
        raise InvalidInput(f"{path} exists already, and holds no results of a cohort.")


def write(path: Path, cohort: str, items: Sequence[Item], report: TaskReport) -> None:
    """Write a row for each series: what it is, what became of it, and its numbers.

    Raises
    ------
    InvalidInput
        The file cannot be written.
    """
    found = rows(items, report.outcomes)
    try:
        if path.suffix.lower() == ".parquet":
            write_rows(path, found, {"cohort": cohort, "task": report.task})
        else:
            columns = [*dict.fromkeys(name for row in found for name in row)]
            write_private(path, csv_of(columns, found).encode())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from None


def rows(items: Sequence[Item], outcomes: Iterable[Outcome]) -> list[dict[str, Cell]]:
    """Return a row for each series: what it is, what became of it, and its numbers.

    A number that is named like one of the other columns gets ``function.`` before its name.
    """
    by_series = {one.resource: one for one in outcomes}
    found: list[dict[str, Cell]] = []
    for item in items:
        outcome = by_series.get(item.resource)
        known = (item.resource.study, item.resource.series, item.patient, item.modality, item.description)
        row: dict[str, Cell] = dict(zip(_COLUMNS, known, strict=True))
        row["state"] = outcome.state if outcome else "left"
        row["reason"] = outcome.reason if outcome else ""
        row["seconds"] = round(outcome.seconds, 3) if outcome else None
        result = outcome.result if outcome else {}
        found.append(
            row | {f"function.{name}" if name in row else name: cell for name, cell in result.items()}
        )
    return found


def _is_ours(path: Path) -> bool:
    if path.suffix.lower() == ".parquet":
        return "cohort" in facts_of(path)
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline().startswith(",".join((*_COLUMNS, *_FACTS)))
