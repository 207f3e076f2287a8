"""Removing from the archive and deleting on servers, and what would be lost by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import ArchiveChanged, Events, ServerChanged
from dicomdock.dock.services.open_study import OpenStudy
from dicomdock.dock.services.servers import Servers
from dicomdock.errors import DicomdockError


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


class Deletions:
    """Removes from the archive and deletes on servers. Methods block.

    Parameters
    ----------
    local, servers : what is removed from.
    open_study : closes what goes.
    events : informs the pages.
    """

    def __init__(self, local: LocalArchive, servers: Servers, open_study: OpenStudy, events: Events) -> None:
        self._local = local
        self._servers = servers
        self._open_study = open_study
        self._events = events

    def weigh(self, resources: Iterable[Resource]) -> Loss:
        """Return what removing these from the archive would lose."""
        count = size = 0
        unsent: Counter[Resource] = Counter()
        made: set[Resource] = set()
        for resource in resources:
            for one in self._local.archive.instances(resource):
                count += 1
                size += one.size
                if not one.origin and not one.sent:
                    series = Resource(one.resource.study, one.resource.series)
                    unsent[series] += 1
                    if one.made_here:
                        made.add(series)
        names = self._series_names({series.study for series in unsent})
        named = [
            f"{names.get(series, 'a series without a description')}: {formatting.counted(number, 'image')}"
            + (", made here" if series in made else "")
            for series, number in unsent.items()
        ]
        return Loss(count, size, unsent.total(), named)

    def _series_names(self, studies: Iterable[str]) -> dict[Resource, str]:
        names: dict[Resource, str] = {}
        for study in studies:
            query = Query("series", {"StudyInstanceUID": study}, ("SeriesDescription",))
            for page in self._local.archive.search(query):
                for match in page.matches:
                    asked = match.attributes
                    words = (text(asked, key) for key in ("Modality", "SeriesNumber", "SeriesDescription"))
                    uid = text(asked, "SeriesInstanceUID")
                    names[Resource(study, uid)] = " ".join(word for word in words if word)
        return names

    def remove(self, resources: Sequence[Resource]) -> None:
        """Remove from the archive; the viewer of a study that goes is closed first."""
        try:
            for resource in resources:
                if resource.series is None:
                    self._open_study.close(resource.study)
                if self._local.archive.present(resource):
                    self._local.archive.remove(resource)
        finally:
            for study in {resource.study for resource in resources}:
                self._events.publish(ArchiveChanged(study))

    def may_delete(self, server: str, resources: Sequence[Resource]) -> bool:
        """Return False where a server is known not to delete such things, without asking it."""
        dialect = self._servers.client(server).dialect
        return bool(dialect.rejection) or all(
            resource.level in dialect.delete_levels for resource in resources
        )

    def delete(self, server: str, resources: Sequence[Resource]) -> list[str]:
        """Delete on a server.

        Returns
        -------
        What could not be deleted and why, a sentence each.
        """
        client = self._servers.client(server)
        failed = []
        for resource in resources:
            try:
                client.delete(resource)
            except DicomdockError as error:
                failed.append(str(error))
        self._local.archive.query_cache.drop(server)
        for study in {resource.study for resource in resources}:
            self._events.publish(ServerChanged(server, study))
        return failed
