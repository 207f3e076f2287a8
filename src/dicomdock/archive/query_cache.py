"""Cache the answers of servers to searches, by server, login and query."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.schema import answer
from dicomdock.dicom.query import Query
from dicomdock.sources import Match

MAX_AGE = 30 * 86400.0  # seconds; older answers only mislead


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer of a server to a search.

    Parameters
    ----------
    matches : as the server sent them.
    more : True or False where the server had further matches or not, else None.
    age : seconds since the server sent it.
    """

    matches: tuple[Match, ...]
    more: bool | None
    age: float


class QueryCache:
    """The latest answer of each server to each query, stored in the index.

    Parameters
    ----------
    index : of the archive.
    read_only : nothing is stored.
    """

    def __init__(self, index: Index, *, read_only: bool = False) -> None:
        self._index = index
        self._read_only = read_only

    def get(self, server: str, login: str, query: Query) -> CachedAnswer | None:
        """Return the latest answer of a server to a query under a login; None where there is none."""
        with self._index.reading() as connection:
            row = connection.first("SELECT at, pages FROM answer WHERE key = ?", _key(server, login, query))
        if row is None:
            return None
        stored = json.loads(row[1])
        matches = tuple(Match(attributes) for attributes in stored["matches"])
        return CachedAnswer(matches, stored["more"], max(0.0, time.time() - row[0]))

    def put(
        self, server: str, login: str, query: Query, matches: Sequence[Match], more: bool | None = None
    ) -> None:
        """Store an answer in place of an older one.

        Parameters
        ----------
        server, login : names; an answer is never shown under another login.
        more : whether the server had further matches, where known.
        """
        if self._read_only:
            return
        now = time.time()
        key = _key(server, login, query)
        # As ASCII: a server's answer can hold half of a letter, which no database takes.
        pages = json.dumps({"matches": [match.attributes for match in matches], "more": more})
        with self._index.writing() as connection:
            connection.execute("DELETE FROM answer WHERE key = ? OR at < ?", key, now - MAX_AGE)
            connection.execute(answer.insert, key, server, now, pages.replace("\\u0000", ""))

    def drop(self, server: str) -> None:
        """Remove all answers of a server."""
        if self._read_only:
            return
        with self._index.writing() as connection:
            connection.execute("DELETE FROM answer WHERE server = ?", server)


def _key(server: str, login: str, query: Query) -> str:
    asked = [sorted(query.match.items()), sorted(query.fields), query.limit, query.offset, query.fuzzy]
    if query.typed:
        asked.append("typed")
    if query.order:
        asked.append(list(query.order))
    return hashlib.sha256(json.dumps((server, login, query.level, *asked)).encode()).hexdigest()
