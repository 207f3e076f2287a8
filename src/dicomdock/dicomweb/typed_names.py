"""Search servers for person names as people type them: ask by wildcard, filter here.

Servers differ in whether they compare names without case and accents, and none reads ``Schmidt, Hans``. A
typed name is therefore searched by its longest word, as typed and in the usual letter cases, then by
wildcards for every letter which may carry an accent. What comes is filtered by ``Query.matches``.

References
----------
PS3.4 §C.2.2.2.1, §C.2.2.2.4 (single value and wildcard matching; case and accents are left to the server).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from dicomdock.dicom.criteria import NameWords, broad_pattern, fold_name, name_words, unquoted
from dicomdock.dicom.dictionary import vr_of
from dicomdock.dicom.json_model import texts
from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.dicomweb.search_request import ListRequests, NoSuchList
from dicomdock.errors import TransactionError
from dicomdock.sources import DicomJson, Match, Page

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session

MOST_CANDIDATES: Final = 2000  # rows that a broad wildcard may bring


def typed_keys(query: Query) -> list[str]:
    """Return the matching keys that hold a name as people type it."""
    return [key for key, criterion in query.criteria.items() if isinstance(criterion, NameWords)]


def as_standard(query: Query) -> Query:
    """Return a query without names as people type them as servers read it: no name in quotation marks."""
    if not query.typed:
        return query
    match = {
        key: unquoted(value) if vr_of(key.rpartition(".")[2]) == "PN" else value
        for key, value in query.match.items()
    }
    return replace(query, match=match, typed=False)


def search_typed(
    session: Session, query: Query, ask: Callable[[Session, Query], Iterator[Page]]
) -> Iterator[Page]:
    """Yield every match of a query with typed names once, without limit and offset.

    Parameters
    ----------
    ask : sends a query without typed names.
    """
    first, *others = typed_keys(query)
    literal, broad = _patterns(query, first)
    rest = {key: value for key, value in query.match.items() if key not in others}
    fields = tuple(dict.fromkeys((*query.fields, *others)))
    seen: set[tuple[str, ...]] = set()
    reported: set[str] = set()
    folded = _Folding()
    for pattern in (*literal, *broad):
        is_broad = pattern in broad
        if folded.accents or (folded.case and pattern not in (literal[0], broad[0])):
            continue
        if pattern != literal[0] and _filters_here(session, query.level, first):
            return  # every name was compared here already, without case and accents
        plain = replace(query, match={**rest, first: pattern}, fields=fields, limit=None, offset=0)
        candidates = 0
        for page in ask(session, as_standard(plain)):
            candidates += len(page.matches)
            for match in page.matches:
                folded.note(pattern, texts(match.attributes, first))
            fresh = tuple(_fresh(query, page.matches, seen))
            warnings = tuple(one for one in page.warnings if one not in reported)
            reported.update(warnings)
            if fresh or warnings:
                yield Page(fresh, warnings=warnings)
            if is_broad and candidates >= MOST_CANDIDATES and page.more is not False:
                yield Page((), warnings=(_cut(session, query.match[first]),))
                break


def _filters_here(session: Session, level: SearchLevel, key: str) -> bool:
    """Return whether the server does not apply wildcards of a key, so that the client compares every row."""
    dialect = session.dialect
    unsent = not dialect.wildcard or (bool(dialect.match_keys) and key not in dialect.match_keys)
    return unsent or session.key_checks.is_ignored(level, key, partial(_one_row, session, level))


def _one_row(session: Session, level: SearchLevel, key: str, value: str) -> list[DicomJson]:
    """Return a row as the server returns it for a key; none where it refuses the search."""
    try:
        answer = ListRequests(session, Query(level, {key: value}), f"/{level}").tried(0, 1, ())
    except (TransactionError, NoSuchList):
        return []
    return answer.rows if answer else []


def _fresh(query: Query, matches: tuple[Match, ...], seen: set[tuple[str, ...]]) -> Iterator[Match]:
    for match in matches:
        uids = tuple("".join(texts(match.attributes, key)[:1]) for key in UID_KEYWORDS[query.level])
        if uids not in seen and query.matches(match.attributes, keys=set(typed_keys(query))):
            seen.add(uids)
            yield match


def _cut(session: Session, typed: str) -> str:
    return (
        f"{session.name} was searched for {typed} as written; spelt with other accents or letter case, it "
        f"was looked for among {MOST_CANDIDATES:,} names only. Further letters of the name narrow the search."
    )


def _patterns(query: Query, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the wildcards of a typed name: as written in the usual cases, and without accents."""
    criterion = query.criteria[key]
    assert isinstance(criterion, NameWords)
    word = max(criterion.words, key=len)
    typed = unicodedata.normalize("NFC", query.match[key])
    spelling = next((one for one in name_words(typed) if fold_name(one) == word), word)
    spellings = (spelling, spelling.upper(), spelling.capitalize(), spelling.lower())
    narrowest = max(map(broad_pattern, criterion.words), key=len)
    literal = tuple(dict.fromkeys(f"*{one}*" for one in spellings))
    return literal, tuple(dict.fromkeys((narrowest.upper(), narrowest)))


class _Folding:
    """What the answers show of a server: whether it compares names without case, and without accents."""

    def __init__(self) -> None:
        self.case = False
        self.accents = False

    def note(self, pattern: str, names: list[str]) -> None:
        """Look at the names of a row that a server found by a pattern."""
        piece = max(pattern.split("*"), key=len)
        for name in names:
            if piece in unicodedata.normalize("NFC", name):
                return
        shown = [unicodedata.normalize("NFC", name).casefold() for name in names]
        if any(piece.casefold() in name for name in shown):
            self.case = True
        elif names and any(fold_name(piece) in fold_name(name) for name in names):
            self.accents = True
