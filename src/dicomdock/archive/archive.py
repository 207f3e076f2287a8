"""Archive: the local DICOM database."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from dicomdock.archive.eviction import Eviction, evict
from dicomdock.archive.export import Exported, Planned, damaged_error, export_folder, export_zip, planned
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.migrations import migrate
from dicomdock.archive.index.queries import (
    ArchivedInstance,
    Summary,
    instances_of,
    is_indexed,
    mark_sent,
    mark_used,
    remove_rows,
    series_not_used_since,
    set_pinned,
    sizes_of,
    summary_of,
)
from dicomdock.archive.ingest import ImportProgress, import_paths
from dicomdock.archive.query_cache import Answer, forget, recall, remember
from dicomdock.archive.recovery import Finding, recover, remove_doomed, verify
from dicomdock.archive.search import search
from dicomdock.archive.storage.local import Files, IntegrityCheck, disk_errors, has_size
from dicomdock.archive.store import store
from dicomdock.archive.writer import ArchiveWriter
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotInArchive
from dicomdock.sources import Match, Page, Part, StoreResult

USE_GRAIN = 600.0  # seconds; use is noted no finer, so that reading seldom writes


class Archive:
    """Instances kept on this machine, found again by their attributes.

    Several threads and several processes may use one archive at once.
    """

    name = "local"

    def __init__(self, files: Files, index: Index, *, limit: int = 0) -> None:
        self._files = files
        self._index = index
        self._limit = limit
        self._integrity = IntegrityCheck()

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
            recover(files, index)
        except BaseException:
            index.close()
            raise
        return cls(files, index, limit=settings.archive_limit)

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
        """Return the SOP Instance UIDs of a resource whose files are there with their size."""
        with self._index.reading() as connection:
            rows = list(sizes_of(connection, resource))
        return {uid for uid, path, size in rows if has_size(self._files.folder / path, size)}

    def search(self, query: Query) -> Iterator[Page]:
        """Find studies, series or instances, the latest studies first.

        ``query.fields`` that the index does not keep are read from one file of each match.
        """
        return search(self._index, self._files.folder, query)

    def retrieve(self, resource: Resource) -> Iterator[Part]:
        """Return the instances of a resource as their files, each compared with its digest before.

        Raises
        ------
        NotInArchive
            Nothing is there.
        ArchiveError
            Instances are damaged or missing; the others have been returned before.
        """
        if resource.frames:
            raise InvalidInput("The archive gives whole instances; frames are cut out by the origin server.")
        found = self._found(resource)
        with self._index.reading() as connection:
            stale = series_not_used_since(connection, resource, time.time() - USE_GRAIN)
        if stale:
            with self._index.writing() as connection:
                mark_used(connection, stale)
        damaged: list[Resource] = []
        for one in found:
            syntax = f"; transfer-syntax={one.transfer_syntax_uid}" if one.transfer_syntax_uid else ""
            if self._integrity.is_intact(one.path, one.size, one.digest):
                yield Part.from_file(
                    one.path,
                    resource=one.resource,
                    content_type=f"application/dicom{syntax}",
                    length=one.size,
                )
            elif self._is_indexed(one.resource):  # else it was removed meanwhile
                damaged.append(one.resource)
        if damaged:
            raise damaged_error(damaged)

    def metadata(self, resource: Resource) -> Iterator[DicomJson]:
        """Give the attributes of every instance; bulk data stand as paths below the instance's."""
        from dicomdock.archive.metadata import read_metadata

        missing: list[Resource] = []
        for one in self._found(resource):
            try:
                yield read_metadata(one.path, one.resource)
            except FileNotFoundError:
                if self._is_indexed(one.resource):
                    missing.append(one.resource)
        if missing:
            raise damaged_error(missing)

    def store(self, parts: Iterable[Part], *, study: str | None = None) -> Iterator[StoreResult]:
        """Store instances; an outcome is told when it is kept for good."""
        with self.writer() as writer:
            yield from store(writer, parts, Resource(study) if study else None)

    def delete(self, resource: Resource) -> None:
        """Remove a study, series or instance."""
        self.remove(resource)

    def remove(self, resource: Resource) -> int:
        """Remove a study, series or instance, and give how many instances they were.

        Raises
        ------
        NotInArchive
            Nothing is there.
        InvalidInput
            Frames cannot be removed.
        """
        if resource.frames:
            raise InvalidInput("Frames cannot be removed; name the instance.")
        with self._index.writing() as connection:
            number = remove_rows(connection, resource)
        if not number:
            raise _not_here(resource)
        with disk_errors("Removing from the archive"):
            remove_doomed(self._files, self._index)
        return number

    def import_paths(
        self, paths: Iterable[Path], *, origin: str = "", replace: bool = False
    ) -> Iterator[ImportProgress]:
        """Import files and folders; the last progress is the report.

        Parameters
        ----------
        paths : folders are searched through.
        origin : name of the server that they come from, where that is known.
        replace : as in ``writer``.

        Raises
        ------
        InvalidInput
            A path does not exist.
        NoSpace, ArchiveLocked, ArchiveError
            The archive cannot go on.
        """
        return import_paths(self.writer(origin=origin, replace=replace), paths)

    def export(self, resources: Sequence[Resource], folder: Path, *, zip: bool = False) -> Iterator[Exported]:  # noqa: A002
        """Copy instances to files with readable names.

        Parameters
        ----------
        folder : made where it is missing; with ``zip`` the name of the zip file.
        zip : write one zip file.

        Raises
        ------
        NotInArchive
            A resource is not here.
        InvalidInput
            A file of that name is there.
        NoSpace, ArchiveError
            It cannot be written.
        """
        plan = self.plan_export(resources)
        yield from (export_zip if zip else export_folder)(plan, folder, self._integrity)

    def plan_export(self, resources: Sequence[Resource]) -> list[Planned]:
        """Return each instance with its file, the readable name it is exported under, and its size.

        Raises
        ------
        NotFound
            A resource is not in the archive.
        """
        for resource in resources:
            if not self._is_indexed(resource):
                raise _not_here(resource)
        with self._index.reading() as connection:
            return planned(connection, self._files.folder, resources)

    def verify(self, resource: Resource | None = None) -> Iterator[Finding]:
        """Compare files with what was kept; without a resource all, and unknown files too."""
        if resource is not None and not self._is_indexed(resource):
            raise _not_here(resource)
        if resource is None:
            remove_doomed(self._files, self._index)
        yield from verify(self._files, self._index, resource)

    def pin(self, resource: Resource) -> None:
        """Keep a study, series or instance from eviction, and what will come to it.

        Raises
        ------
        NotInArchive
            Nothing is there.
        """
        self._pin(resource, True)

    def unpin(self, resource: Resource) -> None:
        """Allow eviction again, of all below too.

        Raises
        ------
        NotInArchive
            Nothing is there.
        """
        self._pin(resource, False)

    def evict(self, limit: int | None = None) -> Eviction:
        """Remove the least recently used series until the archive holds no more than ``limit`` bytes.

        Never what is pinned, made here, or not known to lie on a server.

        Parameters
        ----------
        limit : bytes; None for the setting ``archive_limit``, where 0 means none.
        """
        if limit is None:
            limit = self._limit or sys.maxsize
        return evict(self._files, self._index, limit)

    def allow(self, *, limit: int, free_space_floor: int) -> None:
        """Change how much is allowed, from now on.

        Parameters
        ----------
        limit : bytes that may be kept; 0 for no limit.
        free_space_floor : bytes that must stay free on the disk.
        """
        self._limit = limit
        self._files.floor = free_space_floor

    def record_sent(self, instances: Iterable[Resource], server: str) -> None:
        """Note that a server confirmed to have stored these instances; what is not here is passed over."""
        with self._index.writing() as connection:
            mark_sent(connection, instances, server)

    def summary(self) -> Summary:
        """Count what is here."""
        with self._index.reading() as connection:
            return summary_of(connection)

    def recall(self, server: str, login: str, query: Query) -> Answer | None:
        """Give what a server last said to this query under this login, and how long ago; None if never."""
        with self._index.reading() as connection:
            return recall(connection, server, login, query)

    def remember(
        self, server: str, login: str, query: Query, matches: Sequence[Match], more: bool | None = None
    ) -> None:
        """Keep what a server said to a query.

        Parameters
        ----------
        server, login : names; an answer is never shown under another login.
        more : whether the server had further matches, where known.
        """
        with self._index.writing() as connection:
            remember(connection, server, login, query, matches, more)

    def forget(self, server: str) -> None:
        """Drop all kept answers of a server."""
        with self._index.writing() as connection:
            forget(connection, server)

    def _is_indexed(self, resource: Resource) -> bool:
        with self._index.reading() as connection:
            return is_indexed(connection, resource)

    def _found(self, resource: Resource) -> list[ArchivedInstance]:
        found = self.instances(resource)
        if not found:
            raise _not_here(resource)
        return found

    def _pin(self, resource: Resource, pinned: bool) -> None:
        with self._index.writing() as connection:
            if not set_pinned(connection, resource, pinned):
                raise _not_here(resource)


def _not_here(resource: Resource) -> NotInArchive:
    return NotInArchive(f"{resource} is not in the local archive.")
