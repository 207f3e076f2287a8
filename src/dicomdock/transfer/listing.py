"""Ask a source which instances it holds: the list that a transfer is proved against."""

from __future__ import annotations

from collections.abc import Iterator

from dicomdock.errors import NotFound, TransactionError, UnsupportedByServer
from dicomdock.query import Query, text
from dicomdock.resource import Resource
from dicomdock.source import DicomSource


class Unlisted(Exception):
    """The source does not tell what it holds."""


def series_of(source: DicomSource, study: str) -> list[Resource]:
    """Give the series of a study.

    Raises
    ------
    NotFound
        The source knows no series of this study.
    """
    query = Query("series", {"StudyInstanceUID": study})
    found = [Resource(study, uid) for uid in _uids(source, query, "SeriesInstanceUID")]
    if not found:
        raise NotFound(f"{source.name} has no study {study}.", status=404)
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
        found = list(_uids(source, query, "SOPInstanceUID"))
        if not found:  # some servers fail to search what they can describe
            found = [text(item, "SOPInstanceUID") for item in source.metadata(series)]
    except NotFound:
        return []
    except (UnsupportedByServer, TransactionError) as error:
        raise Unlisted(str(error)) from error
    return [Resource(series.study, series.series, uid) for uid in dict.fromkeys(found) if uid]


def _uids(source: DicomSource, query: Query, keyword: str) -> Iterator[str]:
    more: bool | None = False
    for page in source.search(query):
        for match in page.matches:
            if uid := text(match.attributes, keyword):
                yield uid
        more = page.more
    if more:
        raise Unlisted(f"{source.name} cut its list of {query.level} short.")
