"""Show what a search finds, page by page, as soon as it is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dicomdock.cli.describe import describe
from dicomdock.cli.output import Console
from dicomdock.dicom.query import Query

if TYPE_CHECKING:
    from dicomdock.sources import DicomJson, DicomSource, JsonValue

Facts = Callable[["DicomJson"], "dict[str, JsonValue]"]
"""Returns what a source knows of a match beyond its attributes, by a word in lower case."""


def show(
    console: Console, source: DicomSource, query: Query, facts: Facts | None = None
) -> dict[str, JsonValue]:
    """Search a source, show the matches, and give the JSON document of the search."""
    from dicomdock.dicom import json_model

    matches: list[JsonValue] = []
    warnings: list[str] = []
    more: bool | None = None
    count = 0
    for page in source.search(query):
        for match in page.matches:
            known = facts(match.attributes) if facts else {}
            flat = json_model.flatten(match.attributes) | known
            count += 1
            if console.json:
                matches.append(flat)
            console.print(*describe(flat, query.level, (*query.fields, *filter(known.get, known))))
        console.flush()
        warnings.extend(warning for warning in page.warnings if warning not in warnings)
        more = page.more
    if not count:
        console.print("Nothing was found.")
    if more:
        console.note(f"There are more than these {count}; --offset {query.offset + count} shows the next.")
    console.note(*warnings)
    return {
        "server": source.name,
        "level": query.level,
        "matches": matches,
        "more": more,
        "warnings": [*warnings],
    }
