"""The table of a cohort: a row for each series, as Parquet."""

from __future__ import annotations

import importlib
import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from dicomdock.cohort.parquet_pages import Unreadable, pages_of
from dicomdock.config.home import write_private
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, MissingDependency

BATCH = 10_000  # rows that are read at once
MOST_BYTES = 1 << 27  # of any table once it is unpacked, or ...
RATIO = 100  # ... so many times its own size
MOST_CELLS = 1_000_000  # of any table, or one for each byte of its file

Cell: TypeAlias = str | int | float | bool | None

_COLUMNS = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Server",
    "PatientID",
    "Modality",
    "SeriesDescription",
    "NumberOfSeriesRelatedInstances",
    "Prefix",
)
_WHOLE_NUMBERS = frozenset({"NumberOfSeriesRelatedInstances"})


@dataclass(frozen=True, slots=True)
class Item:
    """A series of a cohort.

    Parameters
    ----------
    resource : the series.
    server : name of the profile that it comes from, or the URL of a bucket; empty for what is in the archive.
    patient, modality, description : as the maker of the table knew them; empty where it did not.
    instances : how many the source states; None where it does not.
    prefix : of the keys of its objects in a bucket.
    """

    resource: Resource
    server: str = ""
    patient: str = ""
    modality: str = ""
    description: str = ""
    instances: int | None = None
    prefix: str = ""


def arrow(module: str = "pyarrow") -> Any:
    """Return a module of pyarrow, which tables are read and written with.

    Raises
    ------
    MissingDependency
        It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingDependency(
            "What reads and writes Parquet (pyarrow)", "install it with: pip install 'dicomdock[cohort]'"
        ) from None


def write_items(path: Path, items: Iterable[Item], facts: Mapping[str, str]) -> None:
    """Write the table of a cohort; ``facts`` say how it was made, and go into the file's metadata."""
    rows = [
        dict(
            zip(
                _COLUMNS,
                (
                    one.resource.study,
                    one.resource.series,
                    one.server,
                    one.patient,
                    one.modality,
                    one.description,
                    one.instances,
                    one.prefix,
                ),
                strict=True,
            )
        )
        for one in items
    ]
    pyarrow = arrow()
    fields = [(name, pyarrow.int64() if name in _WHOLE_NUMBERS else pyarrow.string()) for name in _COLUMNS]
    schema = pyarrow.schema(fields, metadata={f"dicomdock.{key}": text for key, text in facts.items()})
    write_private(path, parquet_of(pyarrow.Table.from_pylist(rows, schema=schema)))


def read_items(path: Path) -> list[Item]:
    """Read the table of a cohort.

    Raises
    ------
    InvalidInput
        The file is not one.
    """
    items = []
    for row in read_rows(path):
        try:
            resource = Resource(str(row["StudyInstanceUID"]), str(row["SeriesInstanceUID"]))
        except KeyError as error:
            raise InvalidInput(f"{path} is not a cohort: it has no column {error.args[0]}.") from None
        server, patient, modality, description = (str(row.get(name) or "") for name in _COLUMNS[2:6])
        count = row.get("NumberOfSeriesRelatedInstances")
        instances = int(count) if isinstance(count, int) else None
        prefix = str(row.get("Prefix") or "")
        items.append(Item(resource, server, patient, modality, description, instances, prefix))
    return items


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read any Parquet file.

    Raises
    ------
    InvalidInput
        It cannot be read.
    """
    pyarrow = arrow()
    try:
        return _read_rows(path)
    except (OSError, Unreadable, pyarrow.ArrowException) as error:
        raise InvalidInput(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the plain columns of a file batch by batch; a text that many rows share is one object.

    Columns of lists and structs are passed over: one row of them may stand for any number of values.

    Raises
    ------
    InvalidInput
        It states, or becomes, far more than files of its size hold: a few bytes can stand for gigabytes.
    """
    parquet, pyarrow = arrow("pyarrow.parquet"), arrow()
    size = path.stat().st_size
    schema = parquet.read_schema(path)
    texts = [field.name for field in schema if pyarrow.types.is_string(field.type)]
    with parquet.ParquetFile(path, read_dictionary=texts) as file:
        left = max(MOST_BYTES, RATIO * size)
        columns = {
            number: column.name
            for number in range(len(file.schema))
            if (column := file.schema.column(number)).path == column.name and not column.max_repetition_level
        }
        widest = _widest(path, file.metadata, columns, texts, left)
        rows: list[dict[str, Any]] = []
        names = [*columns.values()]
        for batch in file.iter_batches(max(1, min(BATCH, MOST_BYTES // 4 // widest)), columns=names):
            left -= batch.nbytes
            if left < 0:
                raise _too_large(path)
            cells = [_values(column) for column in batch.columns]
            rows += (dict(zip(batch.schema.names, row, strict=True)) for row in zip(*cells, strict=True))
    return rows


def _widest(path: Path, stated: Any, columns: Mapping[int, str], texts: Sequence[str], left: int) -> int:
    """Return how many bytes one value may have that is not read as part of a dictionary; at least 1.

    Raises
    ------
    InvalidInput
        The file states, or its pages become, far more than files of its size hold.
    """
    size, widest = path.stat().st_size, 1
    groups = [stated.row_group(number) for number in range(stated.num_row_groups)]
    most = max(MOST_CELLS, size)
    if sum(group.num_rows for group in groups) * len(columns) > most:
        raise _too_large(path)
    values = 2 * most  # those of dictionaries too
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for group, (number, name) in product(groups, columns.items()):
            chunk = group.column(number)
            start = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)), default=0)
            for page in pages_of(data, start, start + chunk.total_compressed_size):
                left -= page.unpacked
                values -= page.values
                if left < 0 or values < 0:
                    raise _too_large(path)
                if name not in texts:
                    widest = max(widest, page.unpacked if "BYTE_ARRAY" in chunk.physical_type else 8)
    return widest


def _values(column: Any) -> list[Any]:
    """Return the values of a column; those that a dictionary holds once are shared."""
    if not arrow().types.is_dictionary(column.type):
        values: list[Any] = column.to_pylist()
        return values
    known = column.dictionary.to_pylist()
    places = column.indices.to_pylist()
    if not all(place is None or 0 <= place < len(known) for place in places):
        raise Unreadable("a value is none of its dictionary")
    return [None if place is None else known[place] for place in places]


def _too_large(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} becomes far larger than its size when it is read, which is refused.")


def write_rows(path: Path, rows: Sequence[Mapping[str, Cell]], facts: Mapping[str, str]) -> None:
    """Write results as Parquet: a column for each key, in the order in which they first appear.

    A column of whole and other numbers becomes one of floats, one of different kinds becomes text.
    """
    pyarrow = arrow()
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    table = pyarrow.table(columns).replace_schema_metadata(
        {f"dicomdock.{key}": text for key, text in facts.items()}
    )
    write_private(path, parquet_of(table))


def facts_of(path: Path) -> dict[str, str]:
    """Return what a Parquet file of dicomdock's says of itself; nothing for another."""
    parquet, pyarrow = arrow("pyarrow.parquet"), arrow()
    try:
        metadata = parquet.read_schema(path).metadata or {}
    except (OSError, pyarrow.ArrowException):
        return {}
    prefix = "dicomdock."
    decoded = {
        key.decode("utf-8", "replace"): text.decode("utf-8", "replace") for key, text in metadata.items()
    }
    return {key.removeprefix(prefix): text for key, text in decoded.items() if key.startswith(prefix)}


def _column(cells: Sequence[Cell]) -> list[Cell]:
    kinds = {type(cell) for cell in cells if cell is not None}
    if len(kinds) < 2:
        return list(cells)
    if kinds == {int, float}:
        return [None if cell is None else float(cell) for cell in cells]
    return [None if cell is None else str(cell) for cell in cells]


def parquet_of(table: Any) -> bytes:
    """Return a table of pyarrow as Parquet."""
    pyarrow = arrow()
    buffer = pyarrow.BufferOutputStream()
    arrow("pyarrow.parquet").write_table(table, buffer)
    data: bytes = buffer.getvalue().to_pybytes()
    return data
