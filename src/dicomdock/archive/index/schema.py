r"""The schema: the tables of the index, one for each level, with a column for each indexed attribute.

Columns of attributes are named by keyword. Text has no padding and is ``""`` where it is absent or empty;
several values stand as ``\A\B\``, so that one of them can be found whole. Some person names have further
columns, each component group folded for searching.

The tables are values, from which the statements that make them and insert into them are written, for SQLite
and for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from dicomdock.archive.index.attributes import (
    COMPONENT_GROUPS,
    FOLDED,
    INSTANCE_KEYWORDS,
    NUMBERS,
    PATIENT_KEYWORDS,
    SEQUENCE,
    SERIES_KEYWORDS,
    STUDY_KEYWORDS,
)

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
Value: TypeAlias = "str | int | float | bool | None"
Kind: TypeAlias = Literal["id", "number", "text", "flag", "moment"]

# Text compares byte by byte on every database, so that ranges and patterns mean the same and indexes serve
# them. SQLite numbers rows by itself only in an INTEGER.
_TYPES: Mapping[Dialect, Mapping[Kind, str]] = {
    "sqlite": {
        "id": "INTEGER",
        "number": "INTEGER",
        "text": "TEXT",
        "flag": "BOOLEAN",
        "moment": "FLOAT",
    },
    "postgresql": {
        "id": "BIGSERIAL",
        "number": "BIGINT",
        "text": 'TEXT COLLATE "C"',
        "flag": "BOOLEAN",
        "moment": "FLOAT",
    },
}
_BLANK: Mapping[Kind, Value] = {"id": None, "number": 0, "text": "", "flag": False, "moment": 0.0}


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Parameters
    ----------
    name : unquoted.
    kind : what it holds.
    owner : table whose rows it names; these rows go with theirs.
    optional : it may be NULL.
    blank : rows that do not state it have an empty value, 0 or False.
    """

    name: str
    kind: Kind = "text"
    owner: str = ""
    optional: bool = False
    blank: bool = False

    @property
    def quoted(self) -> str:
        """The name as SQL writes it."""
        return f'"{self.name}"'


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    name : needs no quotes.
    key : columns of the primary key; empty for none.
    unique : columns whose values no two rows share; empty for none.
    indexes : name and columns, which may have ``DESC``.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("id",)
    unique: tuple[str, ...] = ()
    indexes: Mapping[str, tuple[str, ...]] | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Column:
        return self._by_name[name]

    def qualified(self, column: Column) -> str:
        """Return the name of a column with the table's."""
        return f"{self.name}.{column.quoted}"

    @cached_property
    def _by_name(self) -> Mapping[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def _stated(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind != "id")

    @cached_property
    def insert(self) -> str:
        """The statement that inserts a row of ``values``; the database numbers it."""
        names = ", ".join(column.quoted for column in self._stated)
        return f"INSERT INTO {self.name} ({names}) VALUES ({marks(len(self._stated))})"

    @cached_property
    def insert_or_pass(self) -> str:
        """The same, passing over rows that are there already."""
        return f"{self.insert} ON CONFLICT DO NOTHING"

    def values(self, row: Mapping[str, Value]) -> tuple[Value, ...]:
        """Return a row in the order of ``insert``; a column that it must state is a ``KeyError``."""
        return tuple(
            [
                row.get(column.name, None if column.optional else _BLANK[column.kind])
                if column.optional or column.blank
                else row[column.name]
                for column in self._stated
            ]
        )

    def update(self, names: Iterable[str]) -> str:
        """Write the statement that changes columns of the row whose ``id`` is the last value."""
        return (
            f"UPDATE {self.name} SET {', '.join(f'{self[name].quoted} = ?' for name in names)} WHERE id = ?"
        )

    def create(self, dialect: Dialect) -> Iterator[str]:
        """Return the statements that make the table and its indexes."""
        types = _TYPES[dialect]
        parts = [
            f"{column.quoted} {types[column.kind]}{'' if column.optional else ' NOT NULL'}"
            for column in self.columns
        ]
        parts += [f"PRIMARY KEY ({_names(self.key)})"] if self.key else []
        parts += [f"UNIQUE ({_names(self.unique)})"] if self.unique else []
        parts += [
            f"FOREIGN KEY ({column.quoted}) REFERENCES {column.owner} (id) ON DELETE CASCADE"
            for column in self.columns
            if column.owner
        ]
        yield f"CREATE TABLE {self.name} ({', '.join(parts)})"
        yield from self.create_indexes()

    def create_indexes(self) -> Iterator[str]:
        """Return the statements that make the indexes which are not there."""
        for name, columns in (self.indexes or {}).items():
            yield f"CREATE INDEX IF NOT EXISTS {name} ON {self.name} ({_names(columns)})"


def marks(count: int) -> str:
    """Return the place holders of so many values."""
    return ", ".join("?" * count)


def _names(columns: Iterable[str]) -> str:
    parts = (column.partition(" ") for column in columns)
    return ", ".join(f'"{name}"{space}{order}' for name, space, order in parts)


def _text(name: str) -> Column:
    return Column(name, blank=True)


def _count(name: str) -> Column:
    return Column(name, "number", blank=True)


def _flag(name: str) -> Column:
    return Column(name, "flag", blank=True)


def _attributes(keywords: Iterable[str]) -> Iterator[Column]:
    for keyword in keywords:
        if keyword in NUMBERS:
            yield Column(keyword, "number", optional=True)
            continue
        yield _text(keyword)
        if keyword in FOLDED:
            yield from (_text(keyword + group) for group in COMPONENT_GROUPS)


def _by_each(table: str, keywords: Iterable[str], *order: str) -> dict[str, tuple[str, ...]]:
    """Return an index for each attribute that is searched, in the order in which its matches are listed."""
    found: dict[str, tuple[str, ...]] = {}
    for keyword in keywords:
        for group in ("", *COMPONENT_GROUPS) if keyword in FOLDED else ("",):
            found[f"{table}_{keyword}{group}"] = (keyword + group, *order)
    return found


_ID = Column("id", "id")
_NAMES = tuple("PatientName" + group for group in COMPONENT_GROUPS)
STUDY_SEARCHED = (
    *(name for name in STUDY_KEYWORDS if name not in ("StudyInstanceUID", "StudyDate")),
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
SERIES_SEARCHED = (*SERIES_KEYWORDS[1:], "NumberOfSeriesRelatedInstances")
INSTANCE_SEARCHED = (*INSTANCE_KEYWORDS[1:], "TransferSyntaxUID")

study = Table(
    "study",
    (
        _ID,
        *_attributes(STUDY_KEYWORDS),
        _text("ModalitiesInStudy"),
        _text("SOPClassesInStudy"),
        _count("NumberOfStudyRelatedSeries"),
        _count("NumberOfStudyRelatedInstances"),
        _count("size"),
        _flag("pinned"),
        Column("added", "moment"),
    ),
    unique=("StudyInstanceUID",),
    # Lists are newest first; with the names in it, a search by name reads this index alone until it has a
    # page full.
    indexes={
        "study_by_date": ("StudyDate DESC", "StudyTime DESC", "id DESC", *_NAMES),
        "study_by_size": ("size",),  # they are summed up
        **_by_each("study", STUDY_SEARCHED, "StudyDate DESC", "StudyTime DESC", "id DESC"),
    },
)

series = Table(
    "series",
    (
        _ID,
        Column("study", "number", owner="study"),
        *_attributes(SERIES_KEYWORDS),
        _text(SEQUENCE),
        _count("NumberOfSeriesRelatedInstances"),
        _count("size"),
        _flag("pinned"),
        Column("added", "moment"),
        Column("used", "moment"),
    ),
    unique=("study", "SeriesInstanceUID"),
    indexes={
        "series_by_uid": ("SeriesInstanceUID",),
        "series_by_use": ("used", "id"),
        **_by_each("series", SERIES_SEARCHED, "id"),
    },
)

# The patient of a series where it is another than its study's: a mix-up, and each of them must be found.
patient = Table(
    "patient",
    (Column("series", "number", owner="series"), *_attributes(PATIENT_KEYWORDS)),
    key=(),
    unique=("series", "PatientID"),
)

# Its accession number, likewise: one acquisition may answer several orders.
accession = Table(
    "accession",
    (Column("series", "number", owner="series"), _text("AccessionNumber")),
    key=(),
    unique=("series", "AccessionNumber"),
)


@dataclass(frozen=True)
class Deviation:
    """Attributes of a study that single series may state otherwise.

    Parameters
    ----------
    table : has a row for each that a series states.
    key : the attribute that distinguishes one from another; what states none is of its study.
    keywords : the attributes that belong together.
    """

    table: Table
    key: str
    keywords: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """The names of the columns of what is stated, which ``study`` has too."""
        return [column.name for column in self.table.columns if column.name != "series"]

    @property
    def own_series(self) -> str:
        """SQL for the ids of a study's series that state nothing else than the study."""
        name = self.table.name
        otherwise = f"SELECT 1 FROM {name} WHERE {name}.series = series.id"
        return f"SELECT id FROM series WHERE study = ? AND NOT EXISTS ({otherwise})"


DEVIATIONS = (
    Deviation(patient, "PatientID", PATIENT_KEYWORDS),
    Deviation(accession, "AccessionNumber", ("AccessionNumber",)),
)

instance = Table(
    "instance",
    (
        _ID,
        Column("series", "number", owner="series"),
        *_attributes(INSTANCE_KEYWORDS),
        _text("TransferSyntaxUID"),
        Column("size", "number"),
        Column("digest"),
        Column("origin"),
        Column("made_here", "flag"),
        _flag("pinned"),
        Column("added", "moment"),
    ),
    unique=("series", "SOPInstanceUID"),
    indexes={"instance_by_uid": ("SOPInstanceUID",), **_by_each("instance", INSTANCE_SEARCHED, "id")},
)

sent = Table(
    "sent",
    (Column("instance", "number", owner="instance"), Column("server"), Column("at", "moment")),
    key=("instance", "server"),
)

# What was odd about an instance when it was stored: a row for each of the few that have a remark.
remark = Table(
    "remark",
    (Column("instance", "number", owner="instance"), Column("text")),
    key=("instance",),
)

# Files whose rows are gone; a crash between the two leaves the removal to whoever opens the archive next.
deletions = Table("doomed", (Column("path"),), key=("path",))

# Files that an earlier version was about to exchange, with what they would be; read when opening.
replacements = Table(
    "replacing",
    (Column("path"), Column("instance", "number", owner="instance"), Column("digest")),
    key=("path",),
)

# Objects that a commit is about to upload, or has uploaded, and whose rows are not there yet. None of them is
# deleted by others, and what a crash leaves is found here. Only archives in an object store have this table.
uploads = Table(
    "upload", (Column("path"), Column("session"), Column("at", "moment")), key=("path", "session")
)


def _counts(level: str, kind: Kind) -> Table:
    columns = (Column("part", kind), Column("rows", "number"))
    return Table(f"{level}_count", columns, key=("part",))


# How many rows a level has in each part of their order; see ``offsets``.
study_count = _counts("study", "text")
series_count = _counts("series", "number")
instance_count = _counts("instance", "number")

answer = Table(
    "answer",
    (Column("key"), Column("server"), Column("at", "moment"), Column("pages")),
    key=("key",),
)

archive = Table("archive", (Column("version", "number"),), key=())

TABLES = (
    answer,
    archive,
    deletions,
    study,
    series,
    instance,
    patient,
    accession,
    remark,
    replacements,
    sent,
    study_count,
    series_count,
    instance_count,
)  # owners first

# An instance with its series and study.
ALL_LEVELS = "instance JOIN series ON instance.series = series.id JOIN study ON series.study = study.id"
# By study, then series and instance number, those without one last.
BY_NUMBER = (
    'ORDER BY study.id, series."SeriesNumber" NULLS LAST, series.id, instance."InstanceNumber" NULLS LAST, '
    "instance.id"
)
