"""Answers: what servers said to a search, kept by server, login and query, with its age."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from dicomdock.archive.index.schema import answer
from dicomdock.dicom.query import Query
from dicomdock.sources import Match

KEPT = 30 * 86400.0  # seconds; older answers only mislead


@dataclass(frozen=True, slots=True)
class Answer:
    """A kept answer.

    Parameters
    ----------
    matches : as the server gave them.
    more : True or False where the server had further matches or not, else None.
    age : seconds since the server gave it.
    """

    matches: tuple[Match, ...]
    more: bool | None
    age: float


def recall(connection: Connection, server: str, login: str, query: Query) -> Answer | None:
    """Give the kept answer, None where there is none."""
    wanted = select(answer.c.at, answer.c.pages).where(answer.c.key == _key(server, login, query))
    row = connection.execute(wanted).first()
    if row is None:
        return None
    kept = json.loads(row[1])
    matches = tuple(Match(attributes) for attributes in kept["matches"])
    return Answer(matches, kept["more"], max(0.0, time.time() - row[0]))


def remember(
    connection: Connection, server: str, login: str, query: Query, matches: Sequence[Match], more: bool | None
) -> None:
    """Keep an answer in place of an older one."""
    now = time.time()
    key = _key(server, login, query)
    # As ASCII: a server's answer can hold half of a letter, which no database takes.
    pages = json.dumps({"matches": [match.attributes for match in matches], "more": more})
    connection.execute(delete(answer).where((answer.c.key == key) | (answer.c.at < now - KEPT)))
    connection.execute(
        insert(answer).values(key=key, server=server, at=now, pages=pages.replace("\\u0000", ""))
    )


def forget(connection: Connection, server: str) -> None:
    """Drop all answers of a server."""
    connection.execute(delete(answer).where(answer.c.server == server))


def _key(server: str, login: str, query: Query) -> str:
    asked = [sorted(query.match.items()), sorted(query.fields), query.limit, query.offset, query.fuzzy]
    return hashlib.sha256(json.dumps((server, login, query.level, *asked)).encode()).hexdigest()
