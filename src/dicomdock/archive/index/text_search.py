"""Find texts by what stands anywhere in them: trigrams of the texts of a study.

SQLite has them in a table of its own (FTS5), which triggers bring up to date; PostgreSQL in indexes of the
extension pg_trgm. Where a database has neither, a search reads more and finds the same.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from dicomdock.archive.index.attributes import COMPONENT_GROUPS, FOLDED
from dicomdock.archive.index.clauses import Clause, all_of, any_of
from dicomdock.archive.index.connection import Connection
from dicomdock.dicom.criteria import NEAR_WORD, Criterion, FuzzyName, Name, NameWords, Wildcard

KEYWORDS = (
    "PatientName",
    "ReferringPhysicianName",
    "PatientID",
    "OtherPatientIDs",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
)
TABLE = "study_text"
SHORTEST = 3  # letters that can be found
SEPARATORS = "^=,."  # of the words of a name
_AVAILABLE = """
SELECT 1 FROM pg_available_extension_versions WHERE name = 'pg_trgm' AND (installed
    OR (trusted AND has_database_privilege(current_database(), 'CREATE'))
    OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
"""

Pieces = Sequence[str]
"""What stands in a text, each at least three letters."""


def create(connection: Connection) -> None:
    """Make what texts are found by, where the database can."""
    if connection.dialect == "sqlite":
        modules = connection.column("SELECT name FROM pragma_module_list")
        if "fts5" in modules and sqlite3.sqlite_version_info >= (3, 34):
            for statement in _sqlite_statements():
                connection.execute(statement)
    elif connection.first(_AVAILABLE):
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        for keyword in KEYWORDS:
            index = f"{TABLE}_{keyword}"
            connection.execute(f"CREATE INDEX {index} ON study USING gin (({_text(keyword)}) gin_trgm_ops)")


def is_available(connection: Connection) -> bool:
    """Return whether texts can be found so."""
    name = TABLE if connection.dialect == "sqlite" else f"{TABLE}_{KEYWORDS[0].lower()}"
    return connection.has_table(name)


def rows_with(connection: Connection, keyword: str, alternatives: Iterable[Pieces]) -> tuple[str, Clause]:
    """Return the table and the clause of rows in whose text all pieces of one alternative stand.

    The rows are named by ``rowid`` in SQLite and by ``id`` in PostgreSQL.
    """
    if connection.dialect != "sqlite":
        text = _text(keyword)
        return "study", any_of(
            all_of(Clause(f"{text} LIKE ?", (f"%{_escaped(piece)}%",)) for piece in pieces)
            for pieces in alternatives
        )
    found = " OR ".join(
        "(" + " AND ".join(dict.fromkeys(gram for piece in pieces for gram in _grams(piece))) + ")"
        for pieces in alternatives
    )
    return TABLE, Clause(f"{TABLE} MATCH ?", (f"{{{keyword}}} : ({found})",))


def pieces_of(keyword: str, criterion: Criterion) -> list[Pieces] | None:
    """Return what must stand in the text of every match; None where nothing that can be found must."""
    if keyword not in KEYWORDS:
        return None
    match criterion:
        case Wildcard(patterns):
            found = [_long_enough(re.split(r"[*?]+", pattern)) for pattern in patterns]
        case Name(patterns) if keyword in FOLDED:
            found = [_long_enough(map(as_words, re.split(r"[*?=]+", pattern))) for pattern in patterns]
        case FuzzyName(words) if keyword in FOLDED:
            by_word = [some for word in words if all(some := _near(word))]
            # One word is enough to find them by, and the longest has the fewest.
            found = max(by_word, key=lambda some: sum(map(len, some[0])), default=[])
        case NameWords(words) if keyword in FOLDED:
            found = [_long_enough(map(as_words, words))]
        case _:
            return None
    return found if found and all(found) else None


def as_words(text: str) -> str:
    """Write a blank for each separator of words."""
    return text.translate(str.maketrans(SEPARATORS, " " * len(SEPARATORS)))


def _near(word: str) -> list[Pieces]:
    """Return what stands in a name with a word that begins so, or that differs in one letter."""
    if len(word) < NEAR_WORD:
        return [_long_enough([f" {word}"])]
    # Whatever one letter amiss is, what is before it and what is behind it are there.
    cut = [(f" {word[:at]}", f"{word[at + 1 :]} ") for at in range(len(word))]
    return [*map(_long_enough, cut), [f" {word}"]]


def _long_enough(pieces: Iterable[str]) -> Pieces:
    return [piece for piece in pieces if len(piece) >= SHORTEST]


def _grams(piece: str) -> Iterator[str]:
    for at in range(len(piece) - SHORTEST + 1):
        yield '"' + piece[at : at + SHORTEST].replace('"', '""') + '"'


def _escaped(piece: str) -> str:
    return re.sub(r"[\\%_]", r"\\\g<0>", piece)


def _text(keyword: str, row: str = "") -> str:
    """Return the expression of the text that is searched."""
    if keyword not in FOLDED:
        return f'{row}"{keyword}"'
    groups = [f'{row}"{keyword}{group}"' for group in COMPONENT_GROUPS]
    text = " || ' ' || ".join(groups)
    text = f"' ' || {text} || ' '"
    for separator in SEPARATORS:
        text = f"replace({text}, '{separator}', ' ')"
    return text


def _sqlite_statements() -> Iterator[str]:
    columns = ", ".join(KEYWORDS)
    sources = [
        f'"{name}"'
        for keyword in KEYWORDS
        for name in ([keyword + group for group in COMPONENT_GROUPS] if keyword in FOLDED else [keyword])
    ]

    def texts(row: str) -> str:
        return ", ".join(_text(keyword, row) for keyword in KEYWORDS)

    new = f"INSERT INTO {TABLE} (rowid, {columns}) VALUES (new.id, {texts('new.')})"
    old = f"INSERT INTO {TABLE} ({TABLE}, rowid, {columns}) VALUES ('delete', old.id, {texts('old.')})"
    yield (
        f"CREATE VIRTUAL TABLE {TABLE} USING fts5("
        f"{columns}, content='', detail=column, tokenize='trigram case_sensitive 1')"
    )
    yield f"CREATE TRIGGER {TABLE}_insert AFTER INSERT ON study BEGIN {new}; END"
    yield f"CREATE TRIGGER {TABLE}_delete AFTER DELETE ON study BEGIN {old}; END"
    changed = f"AFTER UPDATE OF {', '.join(sources)} ON study"
    yield f"CREATE TRIGGER {TABLE}_update {changed} BEGIN {old}; {new}; END"
    yield f"INSERT INTO {TABLE} (rowid, {columns}) SELECT id, {texts('')} FROM study"
