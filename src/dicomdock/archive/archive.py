"""Archive: the local DICOM database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from sqlalchemy import Select, select

from dicomdock.archive.catalogue import ArchivedInstance, instances_of, present_in
from dicomdock.archive.files import Files
from dicomdock.archive.index import Index
from dicomdock.archive.migrations import migrate
from dicomdock.archive.searching import search
from dicomdock.archive.writer import ArchiveWriter
from dicomdock.errors import InvalidInput, NotFound
from dicomdock.query import DicomJson, Query
from dicomdock.resource import Resource
from dicomdock.settings import Settings
from dicomdock.source import Page, Part, StoreResult


class Archive:
    """Instances kept on this machine, found again by their attributes.

    Several threads and several processes may use one archive at once.
    """

    name = "local"

    def __init__(self, files: Files, index: Index) -> None:
        self._files = files
        self._index = index

    @classmethod
    def open(cls, settings: Settings) -> Archive:
        """Open the archive that the settings name, and make it where there is none.

        Raises
        ------
        ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
        """
        files = Files(settings.archive, settings.free_space_floor)
        index = Index(settings.database, settings.archive)
        try:
            migrate(index)
        except BaseException:
            index.close()
            raise
        return cls(files, index)

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def writer(self, *, origin: str = "", made_here: bool = False, replace: bool = False) -> ArchiveWriter:
        """Give a writer; use it in a ``with`` block.

        Parameters
        ----------
        origin : name of the server that the instances come from.
        made_here : this program makes them, so they exist nowhere else.
        replace : other bytes under a known UID take the place of the first ones.
        """
        return ArchiveWriter(self._files, self._index, origin=origin, made_here=made_here, replace=replace)

    def instances(self, resource: Resource) -> list[ArchivedInstance]:
        """List the instances of a resource by series and instance number; none is no error."""
        with self._index.reading() as connection:
            return list(instances_of(connection, self._files.folder, resource))

    def present(self, resource: Resource) -> set[str]:
        """Give the SOP Instance UIDs of a resource that are here."""
        with self._index.reading() as connection:
            return present_in(connection, resource)

    def search(self, query: Query) -> Iterator[Page]:
        """Find studies, series or instances, the latest studies first."""
        return search(self._index, query)

    def retrieve(self, resource: Resource) -> Iterator[Part]:
        """Give the instances of a resource as their files."""
        if resource.frames:
            raise InvalidInput("The archive gives whole instances; frames are cut out by the origin server.")
        found = self.instances(resource)
        if not found:
            raise NotFound(f"{resource} is not in the local archive.", status=404, url=resource.path)
        for one in found:
            syntax = f"; transfer-syntax={one.transfer_syntax_uid}" if one.transfer_syntax_uid else ""
            yield Part.from_file(one.path, resource=one.resource, content_type=f"application/dicom{syntax}")
