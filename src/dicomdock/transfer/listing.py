"""List the instances that a source holds: what a transfer is checked against."""

from __future__ import annotations

from collections.abc import Iterator

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotFound, TransactionError, UnsupportedByServer, WireError
from dicomdock.sources import DicomJson, DicomSource


class Unlisted(Exception):
    """The source does not list what it holds, or not all of it."""


def series_of(source: DicomSource, study: str, series: str = "") -> tuple[dict[Resource, int | None], bool]:
    """Return the series of a study, or the one named, each with its number of instances where stated.

    None when the source knows none.

    Returns
    -------
    The series, and whether these are all: False when the source cut its list short.

    Raises
    ------
    WireError
        The source lists a series by what cannot be a UID.
    """
    match = {"StudyInstanceUID": study, **({"SeriesInstanceUID": series} if series else {})}
    query = Query("series", match, fields=("NumberOfSeriesRelatedInstances",))
    found: dict[Resource, int | None] = {}
    try:
        for attributes in _matches(source, query):
            if uid := text(attributes, "SeriesInstanceUID"):
                count = text(attributes, "NumberOfSeriesRelatedInstances")
                found[_resource(source, study, uid)] = int(count) if count.isdecimal() else None
    except Unlisted:
        return found, False
    return found, True


def instances_of(source: DicomSource, series: Resource) -> list[Resource]:
    """Return the instances of a series, as the source lists them.

    Search is asked first; where a source cannot search instances its metadata names them.

    Raises
    ------
    Unlisted
        Neither can be understood, or the list was cut short.
    """
    assert series.series is not None
    query = Query("instances", {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.series})
    try:
        found = [text(item, "SOPInstanceUID") for item in _matches(source, query)]
        if not found:  # some servers fail to search what they can describe
            found = [text(item, "SOPInstanceUID") for item in source.metadata(series)]
        return [_resource(source, series.study, series.series, uid) for uid in dict.fromkeys(found) if uid]
    except NotFound:
        return []
    except (UnsupportedByServer, TransactionError, WireError) as error:
        raise Unlisted(str(error)) from error


def _resource(source: DicomSource, study: str, series: str | None, instance: str | None = None) -> Resource:
    try:
        return Resource(study, series, instance)
    except InvalidInput as error:  # the source's mistake, not the user's
        raise WireError(f"{source.name} lists what cannot be fetched: {error}") from error


def _matches(source: DicomSource, query: Query) -> Iterator[DicomJson]:
    more: bool | None = False
    for page in source.search(query):
        for match in page.matches:
            yield match.attributes
        more = page.more
    if more:
        raise Unlisted(f"{source.name} cut its list of {query.level} short.")
