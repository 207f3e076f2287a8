"""Ask a source which instances it holds: the list that a transfer is proved against."""

from __future__ import annotations

from collections.abc import Iterator

from dicomdock.errors import NotFound, TransactionError, UnsupportedByServer
from dicomdock.query import Query, text
from dicomdock.resource import Resource
from dicomdock.source import DicomJson, DicomSource


class Unlisted(Exception):
    """The source does not tell what it holds."""


def series_of(source: DicomSource, study: str, series: str = "") -> dict[Resource, int | None]:
    """Give the series of a study, or the one named, each with its number of instances where the source tells.

    Empty when the source knows none.
    """
    match = {"StudyInstanceUID": study, **({"SeriesInstanceUID": series} if series else {})}
    query = Query("series", match, fields=("NumberOfSeriesRelatedInstances",))
    found: dict[Resource, int | None] = {}
    for attributes in _matches(source, query):
        if uid := text(attributes, "SeriesInstanceUID"):
            count = text(attributes, "NumberOfSeriesRelatedInstances")
            found[Resource(study, uid)] = int(count) if count.isdecimal() else None
    return found


def instances_of(source: DicomSource, series: Resource) -> list[Resource]:
    """Give the instances of a series, as the source lists them.

    Search is asked first; where a source cannot search instances its metadata tells the same.

    Raises
    ------
    Unlisted
        Neither tells, or the list was cut short.
    """
    assert series.series is not None
    query = Query("instances", {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.series})
    try:
        found = [text(item, "SOPInstanceUID") for item in _matches(source, query)]
        if not found:  # some servers fail to search what they can describe
            found = [text(item, "SOPInstanceUID") for item in source.metadata(series)]
    except NotFound:
        return []
    except (UnsupportedByServer, TransactionError) as error:
        raise Unlisted(str(error)) from error
    return [Resource(series.study, series.series, uid) for uid in dict.fromkeys(found) if uid]


def _matches(source: DicomSource, query: Query) -> Iterator[DicomJson]:
    more: bool | None = False
    for page in source.search(query):
        for match in page.matches:
            yield match.attributes
        more = page.more
    if more:
        raise Unlisted(f"{source.name} cut its list of {query.level} short.")
