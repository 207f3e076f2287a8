"""Removing from the archive and from servers, and what that would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting
from dicomdock.dock.services.events import ArchiveChanged, ServerChanged
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from dicomdock.dock.service import Dock


@dataclass(frozen=True)
class Loss:
    """What removing from the archive would take away.

    Parameters
    ----------
    instances : that would go from here.
    bytes : that would become free.
    unsent : those that are on no server, as far as is known.
    named : the series of the unsent, in words.
    """

    instances: int
    bytes: int
    unsent: int
    named: Sequence[str]


def weigh(dock: Dock, resources: Iterable[Resource]) -> Loss:
    """Tell what removing these from the archive would take away."""
    count = size = 0
    unsent: Counter[Resource] = Counter()
    made: set[Resource] = set()
    for resource in resources:
        for one in dock.archive.instances(resource):
            count += 1
            size += one.size
            if not one.origin and not one.sent:
                series = Resource(one.resource.study, one.resource.series)
                unsent[series] += 1
                if one.made_here:
                    made.add(series)
    names = _series_names(dock, {series.study for series in unsent})
    named = [
        f"{names.get(series, 'a series without a description')}: {formatting.counted(number, 'image')}"
        + (", made here" if series in made else "")
        for series, number in unsent.items()
    ]
    return Loss(count, size, unsent.total(), named)


def _series_names(dock: Dock, studies: Iterable[str]) -> dict[Resource, str]:
    names: dict[Resource, str] = {}
    for study in studies:
        query = Query("series", {"StudyInstanceUID": study}, ("SeriesDescription",))
        for page in dock.archive.search(query):
            for match in page.matches:
                asked = match.attributes
                words = (text(asked, key) for key in ("Modality", "SeriesNumber", "SeriesDescription"))
                uid = text(asked, "SeriesInstanceUID")
                names[Resource(study, uid)] = " ".join(word for word in words if word)
    return names


def remove(dock: Dock, resources: Sequence[Resource]) -> None:
    """Remove from the archive, and tell the pages; the viewer of a study that goes is closed first."""
    try:
        for resource in resources:
            if resource.series is None:
                dock.viewers.close_study(resource.study)
            if dock.archive.present(resource):
                dock.archive.remove(resource)
    finally:
        for study in {resource.study for resource in resources}:
            dock.events.publish(ArchiveChanged(study))


def may_delete(dock: Dock, server: str, resources: Sequence[Resource]) -> bool:
    """Tell whether a server is known not to delete such things; asking it is not needed for that."""
    dialect = dock.client(server).dialect
    return bool(dialect.rejection) or all(resource.level in dialect.delete_levels for resource in resources)


def delete(dock: Dock, server: str, resources: Sequence[Resource]) -> list[str]:
    """Delete on a server, and tell the pages.

    Returns
    -------
    What could not be deleted and why, a sentence each.
    """
    client = dock.client(server)
    failed = []
    for resource in resources:
        try:
            client.delete(resource)
        except DicomdockError as error:
            failed.append(str(error))
    dock.archive.forget(server)
    for study in {resource.study for resource in resources}:
        dock.events.publish(ServerChanged(server, study))
    return failed
