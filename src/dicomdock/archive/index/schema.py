r"""The schema: the tables of the index, one for each level, with a column for each indexed attribute.

Columns of attributes are named by keyword. Text has no padding and is ``""`` where it is absent or empty;
several values stand as ``\A\B\``, so that one of them can be found whole. Some person names have further
columns, each component group folded for searching.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

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

# Text compares byte by byte on every database, so that ranges and patterns mean the same and indexes serve
# them.
PLAIN = Text().with_variant(Text(collation="C"), "postgresql")
NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts rows by itself only in an INTEGER

metadata = MetaData()


def _id() -> Column[int]:
    return Column("id", NUMBER, primary_key=True)


def _of(table: str) -> Column[int]:
    return Column(table, NUMBER, ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, PLAIN, nullable=False, default="")


def _attributes(keywords: Iterable[str]) -> Iterable[Column[str] | Column[int]]:
    for keyword in keywords:
        if keyword in NUMBERS:
            yield Column(keyword, NUMBER, nullable=True)
            continue
        yield _text(keyword)
        if keyword in FOLDED:
            yield from (_text(keyword + group) for group in COMPONENT_GROUPS)


study = Table(
    "study",
    metadata,
    _id(),
    *_attributes(STUDY_KEYWORDS),
    _text("ModalitiesInStudy"),
    _text("SOPClassesInStudy"),
    Column("NumberOfStudyRelatedSeries", NUMBER, nullable=False, default=0),
    Column("NumberOfStudyRelatedInstances", NUMBER, nullable=False, default=0),
    Column("size", NUMBER, nullable=False, default=0),
    Column("pinned", Boolean, nullable=False, default=False),
    Column("added", Float, nullable=False),
    UniqueConstraint("StudyInstanceUID"),
)
_NAMES = [study.c["PatientName" + group] for group in COMPONENT_GROUPS]
# Lists are newest first; with the names in it, a search by name reads this index alone until it has a page
# full.
Index("study_by_date", study.c.StudyDate.desc(), study.c.StudyTime.desc(), study.c.id.desc(), *_NAMES)
Index("study_by_name", *_NAMES)
Index("study_by_patient", study.c.PatientID)
Index("study_by_accession", study.c.AccessionNumber)

series = Table(
    "series",
    metadata,
    _id(),
    _of("study"),
    *_attributes(SERIES_KEYWORDS),
    _text(SEQUENCE),
    Column("NumberOfSeriesRelatedInstances", NUMBER, nullable=False, default=0),
    Column("size", NUMBER, nullable=False, default=0),
    Column("pinned", Boolean, nullable=False, default=False),
    Column("added", Float, nullable=False),
    Column("used", Float, nullable=False),
    UniqueConstraint("study", "SeriesInstanceUID"),
)
Index("series_by_uid", series.c.SeriesInstanceUID)
Index("series_by_use", series.c.used)

# The patient of a series where it is another than its study's: a mix-up, and each of them must be found.
patient = Table(
    "patient",
    metadata,
    Column("series", NUMBER, ForeignKey("series.id", ondelete="CASCADE"), nullable=False),
    *_attributes(PATIENT_KEYWORDS),
    UniqueConstraint("series", "PatientID"),
)

instance = Table(
    "instance",
    metadata,
    _id(),
    _of("series"),
    *_attributes(INSTANCE_KEYWORDS),
    _text("TransferSyntaxUID"),
    Column("size", NUMBER, nullable=False),
    Column("digest", PLAIN, nullable=False),
    Column("origin", PLAIN, nullable=False),
    Column("made_here", Boolean, nullable=False),
    Column("pinned", Boolean, nullable=False, default=False),
    Column("added", Float, nullable=False),
    UniqueConstraint("series", "SOPInstanceUID"),
)
Index("instance_by_uid", instance.c.SOPInstanceUID)

sent = Table(
    "sent",
    metadata,
    Column("instance", NUMBER, ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True),
    Column("server", PLAIN, primary_key=True),
    Column("at", Float, nullable=False),
)

# What was odd about an instance when it was stored: a row for each of the few that have a remark.
remark = Table(
    "remark",
    metadata,
    Column("instance", NUMBER, ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True),
    Column("text", PLAIN, nullable=False),
)

# Files whose rows are gone; a crash between the two leaves the removal to whoever opens the archive next.
deletions = Table("doomed", metadata, Column("path", PLAIN, primary_key=True))

# Files about to be exchanged, with what they will be: a crash between file and row is put right when opening.
replacements = Table(
    "replacing",
    metadata,
    Column("path", PLAIN, primary_key=True),
    Column("instance", NUMBER, ForeignKey("instance.id", ondelete="CASCADE"), nullable=False),
    Column("digest", PLAIN, nullable=False),
)

answer = Table(
    "answer",
    metadata,
    Column("key", PLAIN, primary_key=True),
    Column("server", PLAIN, nullable=False),
    Column("at", Float, nullable=False),
    Column("pages", PLAIN, nullable=False),
)

archive = Table("archive", metadata, Column("version", Integer, nullable=False))
