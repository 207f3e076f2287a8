"""Makers: how the table of a cohort comes about, from a search or from a list of UIDs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dicomdock.cohort.table import Item, read_rows
from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import is_uid
from dicomdock.errors import (
    DicomdockError,
    InvalidInput,
    NotFound,
    TransactionError,
    UnsupportedByServer,
    WireError,
)
from dicomdock.sources import DicomSource

FIELDS = (
    "PatientID",
    "Modality",
    "SeriesDescription",
    "NumberOfSeriesRelatedInstances",
)
_STUDY = frozenset({"studyinstanceuid", "study_instance_uid", "study"})
_SERIES = frozenset({"seriesinstanceuid", "series_instance_uid", "series"})
_SERVER = frozenset({"server"})
_DELIMITERS = ",;\t"  # spreadsheets of some countries write semicolons
_SHOWN = 3  # problems of one kind that are reported with their lines


@dataclass
class Made:
    """What a maker found.

    Parameters
    ----------
    items : series -> its row, each once, in the order in which they were found.
    problems : what could not be used, a sentence each.
    duplicates : rows that named a series again.
    """

    items: dict[Resource, Item] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    duplicates: int = 0

    def add(self, item: Item) -> None:
        """Add a series, unless it is there."""
        if item.resource in self.items:
            self.duplicates += 1
        else:
            self.items[item.resource] = item


def from_search(source: DicomSource, server: str, match: Mapping[str, str], level: str) -> Made:
    """Find the series of a source that match, or those of the studies that match.

    Parameters
    ----------
    server : name of the source in the table; empty for the archive.
    level : ``studies`` or ``series``, on which the keys select.

    Raises
    ------
    NotFound
        Nothing matches.
    """
    made = Made()
    if level == "series":
        for item in _series(source, server, match, made):
            made.add(item)
    else:
        wanted = Query("studies", dict(match), fields=("PatientID",))
        found_any = False
        for page in source.search(wanted):
            for found in page.matches:
                found_any = True
                study = text(found.attributes, "StudyInstanceUID")
                _try_study(made, source, server, study, text(found.attributes, "PatientID"))
            made.problems.extend(one for one in page.warnings if one not in made.problems)
        if not found_any and match.keys() == {"StudyInstanceUID"}:
            # Some servers search no studies, or list them without their UIDs; their series are found by one.
            for study in match["StudyInstanceUID"].replace("\\", ",").split(","):
                if is_uid(study.strip()):
                    _try_study(made, source, server, study.strip())
    if not made.items:
        shown = " ".join(f"{key}={value}" for key, value in match.items()) or "anything"
        raise NotFound(" ".join((f"{source.name} has nothing that matches {shown}.", *made.problems)))
    return made


def from_file(path: Path, server: str, opened: Callable[[str], DicomSource]) -> Made:
    """Read studies and series from a CSV or Parquet file with the columns of their UIDs.

    A row without a series stands for all series of its study, which its server is asked for.

    Parameters
    ----------
    server : of the rows that name none.
    opened : returns a source by its name; the archive for an empty one.

    Raises
    ------
    InvalidInput
        The file cannot be read, or has no such columns.
    """
    rows = read_rows(path) if path.suffix.lower() == ".parquet" else _csv(path)
    made = Made()
    unreadable: list[str] = []
    columns: tuple[str, str, str] | None = None
    for number, row in enumerate(rows, 2):
        columns = columns or _columns(path, row)
        try:
            study, series, origin = (_text(row.get(name)) if name else "" for name in columns)
            resource = Resource(study, series or None)
        except InvalidInput as error:
            unreadable.append(f"Row {number} of {path.name} cannot be used: {error}")
            continue
        origin = origin or server
        if resource.series is None:
            try:
                _add_study(made, opened(origin), origin, resource.study)
            except DicomdockError as error:
                made.problems.append(f"Row {number} of {path.name}: {error}")
        else:
            made.add(Item(resource, origin))
    made.problems.extend(few(unreadable))
    if not made.items:
        raise InvalidInput(" ".join(made.problems) or f"{path} has no rows.")
    return made


def few(problems: list[str]) -> list[str]:
    """Return the first of several sentences of one kind, and how many more there are."""
    more = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"There are {more:,} more like these."] if more > 0 else [])]


def _try_study(made: Made, source: DicomSource, server: str, study: str, patient: str = "") -> None:
    """Add the series of a study; where the server cannot list them, say so and go on with the others."""
    try:
        _add_study(made, source, server, study, patient)
    except (TransactionError, UnsupportedByServer, WireError) as error:
        made.problems.append(f"The series of study {study} are not known: {error}")


def _add_study(made: Made, source: DicomSource, server: str, study: str, patient: str = "") -> None:
    count = 0
    for item in _series(source, server, {"StudyInstanceUID": study}, made):
        count += 1
        made.add(item if item.patient else replace(item, patient=patient))
    if not count:
        made.problems.append(f"{source.name} has no study {study}.")


def _series(source: DicomSource, server: str, match: Mapping[str, str], made: Made) -> Iterator[Item]:
    query = Query("series", dict(match), fields=FIELDS)
    for page in source.search(query):
        for found in page.matches:
            try:
                yield _item(found.attributes, server, match.get("StudyInstanceUID", ""))
            except InvalidInput as error:
                made.problems.append(f"{source.name} lists what cannot be requested: {error}")
        made.problems.extend(one for one in page.warnings if one not in made.problems)


def _item(attributes: DicomJson, server: str, study: str) -> Item:
    count = text(attributes, "NumberOfSeriesRelatedInstances")
    resource = Resource(text(attributes, "StudyInstanceUID") or study, text(attributes, "SeriesInstanceUID"))
    return Item(
        resource,
        server,
        text(attributes, "PatientID"),
        text(attributes, "Modality"),
        text(attributes, "SeriesDescription"),
        int(count) if count.isdecimal() else None,
    )


def _csv(path: Path) -> Iterable[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            found = max(_DELIMITERS, key=head.count)  # of several that occur as often, the comma
            return list(csv.DictReader(file, delimiter=found))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} is not a table of comma-separated values in UTF-8: {error}.") from None


def _text(value: object) -> str:
    """Return a cell as text; what is missing, also as pandas writes it in a column of numbers, is empty."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip()
    if not isinstance(value, str):
        raise InvalidInput(f"{str(value)[:80]!r} is not text but {type(value).__name__}.")
    return value.strip()


def _columns(path: Path, row: Mapping[str, object]) -> tuple[str, str, str]:
    names = {str(name).strip().lower(): str(name) for name in row}
    study, series, server = (
        next((names[known] for known in wanted if known in names), "")
        for wanted in (_STUDY, _SERIES, _SERVER)
    )
    if not study:
        raise InvalidInput(
            f"{path} has no column StudyInstanceUID; it has: {', '.join(names.values())[:200]}."
        )
    return study, series, server
