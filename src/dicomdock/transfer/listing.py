"""List the instances that a source holds: what a transfer is checked against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotFound, TransactionError, UnsupportedByServer, WireError
from dicomdock.sources import DicomJson, DicomSource
from dicomdock.transfer.outage import BUSY


class Unlisted(Exception):
    """The source does not list what it holds, or not all of it.

    Parameters
    ----------
    passing : it was too busy to, or out of reach behind its gateway; asked again it may.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


def refuse(parent: Resource, reason: str) -> NoReturn:
    """Refuse a list that names something by what cannot be a UID.

    Raises
    ------
    WireError
        Always; the source's mistake, not the user's.
    """
    raise WireError(f"{parent}: {reason}")


def series_of(
    source: DicomSource, study: str, series: str = "", *, unusable: Callable[[Resource, str], None] = refuse
) -> tuple[dict[Resource, int | None], bool]:
    """Return the series of a study, or the one named, each with its number of instances where stated.

    None when the source knows none.

    Parameters
    ----------
    unusable : receives the study, and why a series that the source lists cannot be requested.

    Returns
    -------
    The series, and whether these are all: False when the source cut its list short.
    """
    match = {"StudyInstanceUID": study, **({"SeriesInstanceUID": series} if series else {})}
    query = Query("series", match, fields=("NumberOfSeriesRelatedInstances",))
    found: dict[Resource, int | None] = {}
    try:
        for attributes in _matches(source, query):
            if uid := text(attributes, "SeriesInstanceUID"):
                count = text(attributes, "NumberOfSeriesRelatedInstances")
                if resource := _resource(source, Resource(study), uid, unusable):
                    found[resource] = int(count) if count.isdecimal() else None
    except Unlisted:
        return found, False
    return found, True


def instances_of(
    source: DicomSource, series: Resource, *, unusable: Callable[[Resource, str], None] = refuse
) -> list[Resource]:
    """Return the instances of a series, as the source lists them.

    Search is asked first; where a source cannot search instances its metadata names them.

    Parameters
    ----------
    unusable : receives the series, and why an instance that the source lists cannot be requested.

    Raises
    ------
    Unlisted
        Neither can be understood, or the list was cut short.
    """
    assert series.series is not None
    query = Query("instances", {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.series})
    try:
        found = dict.fromkeys(text(item, "SOPInstanceUID") for item in _matches(source, query))
        if not found:  # some servers fail to search what they can describe
            found = dict.fromkeys(text(item, "SOPInstanceUID") for item in source.metadata(series))
        listed = (_resource(source, series, uid, unusable) for uid in found if uid)
        return [one for one in listed if one is not None]
    except NotFound:
        return []
    except (UnsupportedByServer, TransactionError, WireError) as error:
        passing = isinstance(error, TransactionError) and error.status in BUSY
        raise Unlisted(str(error), passing=passing) from error


def _resource(
    source: DicomSource, parent: Resource, uid: str, unusable: Callable[[Resource, str], None]
) -> Resource | None:
    try:
        if parent.series is None:
            return Resource(parent.study, uid)
        return Resource(parent.study, parent.series, uid)
    except InvalidInput as error:
        unusable(parent, f"{source.name} lists what cannot be requested: {error}")
        return None


def _matches(source: DicomSource, query: Query) -> Iterator[DicomJson]:
    more: bool | None = False
    for page in source.search(query):
        for match in page.matches:
            yield match.attributes
        more = page.more
    if more:
        raise Unlisted(f"{source.name} cut its list of {query.level} short.")
