"""The local DICOM database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dicomdock.archive.commit import commit, sync_commits
from dicomdock.archive.eviction import Retention
from dicomdock.archive.group_commit import GroupCommit
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import (
    ArchivedInstance,
    Summary,
    instances_of,
    is_indexed,
    remove_rows,
    size_of,
    sizes_of,
    sop_classes_in_study,
    sop_classes_of,
    summary_of,
)
from dicomdock.archive.metadata_cache import MetadataCache
from dicomdock.archive.opening import open_archive
from dicomdock.archive.problems import not_in_archive
from dicomdock.archive.query_cache import QueryCache
from dicomdock.archive.recovery import remove_deleted_files
from dicomdock.archive.side_database import SideDatabase
from dicomdock.archive.storage.files import Files
from dicomdock.archive.storage.local import IntegrityCheck, disk_errors, has_size
from dicomdock.archive.storage.sessions import Session
from dicomdock.archive.writer import ArchiveWriter
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.media_types import DICOM, in_transfer_syntax
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, InvalidInput
from dicomdock.sources import Page, Part, StoreResult, file_chunks

if TYPE_CHECKING:
    from dicomdock.archive.adoption import Finding
    from dicomdock.archive.export import Exported, Planned
    from dicomdock.archive.import_progress import ImportProgress
    from dicomdock.deidentify import Deidentifier, Report

DESCRIBED = 256  # instances whose attributes are looked up at once


class Archive:
    """Instances stored on this machine, found by their attributes.

    Several threads and several processes may use one archive at once.

    Attributes
    ----------
    retention : which instances stay: pins, eviction and its limits.
    query_cache : what servers answered to searches.
    worklist : the database of the procedure steps, which no DICOM file holds.
    worklist_deadline : seconds without an update after which a claimed step is scheduled anew; 0 for never.
    """

    name = "local"

    def __init__(self, files: Files, index: Index, *, limit: int = 0, worklist_deadline: float = 0.0) -> None:
        self._files = files
        self._index = index
        self._integrity = IntegrityCheck()
        self._metadata = MetadataCache(files.root)
        new_session = partial(Session, files.incoming, partial(sync_commits, files, index))
        self._together = GroupCommit(new_session, partial(commit, files, index))
        self.retention = Retention(files, index, limit)
        self.query_cache = QueryCache(index, read_only=files.read_only)
        self.worklist = SideDatabase(index, "worklist", read_only=files.read_only)
        self.worklist_deadline = worklist_deadline

    @classmethod
    def open(cls, settings: Settings) -> Archive:
        """Open the archive that the settings name, and make it where there is none.

        Raises
        ------
        ArchiveTooNew, ArchiveLocked, NoSpace
        ArchiveError
            Among other reasons: files of an archive that was there are gone, perhaps with their disk.
        """
        files, index = open_archive(settings)
        return cls(files, index, limit=settings.archive_limit, worklist_deadline=settings.worklist_deadline)

    def close(self) -> None:
        """Close the index."""
        self._together.close()
        self._metadata.close()
        self.worklist.close()
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def writer(self, *, origin: str = "", made_here: bool = False, replace: bool = False) -> ArchiveWriter:
        """Return a writer; use it in a ``with`` block.

        Parameters
        ----------
        origin : name of the server that the instances come from.
        made_here : this program creates them, so they exist nowhere else.
        replace : other bytes under a known UID replace the first ones.
        """
        return ArchiveWriter(self._files, self._index, origin=origin, made_here=made_here, replace=replace)

    def instances(self, resource: Resource) -> list[ArchivedInstance]:
        """List the instances of a resource by series and instance number; none is not an error."""
        with self._index.reading() as connection:
            return list(instances_of(connection, self._files.storage, resource))

    def sop_classes_in_study(self, study: str) -> list[str]:
        """Return the SOP Class UIDs of a study, without reading its instances; none where it is not known."""
        with self._index.reading() as connection:
            return sop_classes_in_study(connection, study)

    def sop_classes(self, resource: Resource) -> dict[Resource, set[str]]:
        """Return the SOP Class UIDs of each series of a resource, however many instances it has."""
        found: dict[Resource, set[str]] = {}
        with self._index.reading() as connection:
            for study, series, sop_class in sop_classes_of(connection, resource):
                found.setdefault(Resource(study, series), set()).add(sop_class)
        return found

    def files(self, resource: Resource) -> Iterator[tuple[ArchivedInstance, Path]]:
        """Return the instances of a resource with their files, in the order of ``instances``.

        Objects are downloaded side by side.
        """
        found = self.instances(resource)
        return zip(found, self._files.storage.fetched(one.key for one in found), strict=True)

    def present(self, resource: Resource) -> set[str]:
        """Return the SOP Instance UIDs of a resource whose files are there with their size."""
        storage = self._files.storage
        with self._index.reading() as connection:
            return storage.with_size(resource, sizes_of(connection, storage, resource))

    def size(self, resource: Resource) -> int:
        """Return the number of bytes of the instances of a resource."""
        with self._index.reading() as connection:
            return size_of(connection, resource)

    def search(self, query: Query) -> Iterator[Page]:
        """Find studies, series or instances, the latest studies first.

        ``query.fields`` that the index does not hold are read from one file of each match, compared with its
        digest before; what is damaged is named by a warning.
        """
        from dicomdock.archive.search import search

        return search(self._index, self._files.storage, self._integrity, query)

    def retrieve(self, resource: Resource) -> Iterator[Part]:
        """Return the instances of a resource as their files, each compared with its digest before.

        Raises
        ------
        NotInArchive
            Nothing is there.
        DamagedInstances
            Instances are damaged or missing; the others have been returned before.
        """
        if resource.frames:
            raise InvalidInput("The archive returns whole instances; the origin server extracts frames.")
        found = self._found(resource)
        self.retention.note_use(resource)
        damaged: list[Resource] = []
        files = self._files.storage.fetched(one.key for one in found)
        for one, path in zip(found, files, strict=True):
            if self._integrity.is_intact(one, path):
                yield self.part(one, path)
            elif self._is_indexed(one.resource):  # else it was removed meanwhile
                damaged.append(one.resource)
        if damaged:
            raise DamagedInstances(damaged)

    def part(self, instance: ArchivedInstance, path: Path | None = None) -> Part:
        """Return an instance as its file, which can be compared with its digest by ``Part.intact``.

        An object is downloaded when it is compared or read.

        Parameters
        ----------
        path : of its file, where that is known already.
        """
        return Part(
            in_transfer_syntax(DICOM, instance.transfer_syntax_uid or ""),
            lambda: file_chunks(instance.path),
            length=instance.size,
            resource=instance.resource,
            path=path or instance.storage.path(instance.key),
            intact=lambda: self._integrity.is_intact(instance),
        )

    def metadata(self, resource: Resource) -> Iterator[DicomJson]:
        """Return the attributes of every instance; bulk data are paths below the instance's.

        Raises
        ------
        NotInArchive
            Nothing is there.
        DamagedInstances
            Instances are damaged or missing; the others have been returned before.
        """
        from dicomdock.archive.metadata import read_metadata

        damaged: list[Resource] = []
        found = self._found(resource)
        for start in range(0, len(found), DESCRIBED):
            some = found[start : start + DESCRIBED]
            cached = self._metadata.get([one.digest for one in some])
            new: dict[str, DicomJson] = {}
            files = self._files.storage.fetched(one.key for one in some)
            for one, path in zip(some, files, strict=True):
                attributes = cached.get(one.digest) if has_size(path, one.size) else None
                with suppress(FileNotFoundError):  # removed meanwhile
                    if attributes is None and self._integrity.is_intact(one):
                        attributes = new[one.digest] = read_metadata(path, one.resource)
                if attributes is not None:
                    yield attributes
                elif self._is_indexed(one.resource):
                    damaged.append(one.resource)
            self._metadata.put(new)
        if damaged:
            raise DamagedInstances(damaged)

    def store(self, parts: Iterable[Part], *, study: str | None = None) -> Iterator[StoreResult]:
        """Store instances; an outcome is returned once it is committed.

        Those who store at the same time share their commits.
        """
        from dicomdock.archive.store import store

        with ArchiveWriter(self._files, self._index, together=self._together) as writer:
            yield from store(writer, parts, Resource(study) if study else None)

    def delete(self, resource: Resource) -> None:
        """Remove a study, series or instance."""
        self.remove(resource)

    def remove(self, resource: Resource) -> int:
        """Remove a study, series or instance, and return the number of instances.

        Raises
        ------
        NotInArchive
            Nothing is there.
        InvalidInput
            Frames cannot be removed.
        """
        if resource.frames:
            raise InvalidInput("Frames cannot be removed; name the instance.")
        self._files.check_writable()
        with self._index.writing() as connection:
            number = remove_rows(connection, self._files.storage, resource)
        if not number:
            raise not_in_archive(resource)
        self._files.reached("remove: rows removed")
        with disk_errors("Removing from the archive"):
            remove_deleted_files(self._files, self._index)
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
        from dicomdock.archive.ingest import import_paths

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
            A resource is not in the archive.
        InvalidInput
            A file of that name is there.
        NoSpace, ArchiveError
            It cannot be written.
        DamagedInstances
            Instances are damaged or missing; the others have been exported.
        """
        from dicomdock.archive.export import export

        yield from export(self.plan_export(resources), folder, self._integrity, zip=zip)

    def export_deidentified(
        self,
        resources: Sequence[Resource],
        folder: Path,
        deidentifier: Deidentifier,
        report: Report,
        *,
        zip: bool = False,  # noqa: A002
    ) -> Iterator[Exported]:
        """Write de-identified copies of instances to files; the archive's own stay as they are.

        Parameters
        ----------
        folder, zip : as in ``export``.
        deidentifier : says what leaves.
        report : takes what became of each instance, those included that are held back.

        Raises
        ------
        NotInArchive, InvalidInput, NoSpace, ArchiveError
            As in ``export``.
        MissingDependency
            Pixels that are to be blanked need a decoder that is not installed.
        """
        from dicomdock.archive.export import export
        from dicomdock.archive.export_deidentified import DeidentifiedCopies

        copies = DeidentifiedCopies(deidentifier, report)
        yield from export(self.plan_export(resources), folder, self._integrity, copies, zip=zip)

    def plan_export(self, resources: Sequence[Resource]) -> list[Planned]:
        """Return each instance with its file, the readable name it is exported under, and its size.

        Raises
        ------
        NotFound
            A resource is not in the archive.
        """
        from dicomdock.archive.export import planned

        for resource in resources:
            if not self._is_indexed(resource):
                raise not_in_archive(resource)
        with self._index.reading() as connection:
            return planned(connection, self._files.storage, resources)

    def damaged(self, instances: Iterable[Planned | ArchivedInstance]) -> list[Resource]:
        """Return those instances whose files are not what was stored."""
        return [one.resource for one in instances if not self._integrity.is_intact(one)]

    def intact_path(self, instance: ArchivedInstance) -> Path:
        """Return the file of an instance, compared with its digest before.

        Raises
        ------
        DamagedInstances
            It is damaged or missing.
        """
        if not self._integrity.is_intact(instance):
            raise DamagedInstances([instance.resource])
        return instance.path

    def verify(self, resource: Resource | None = None) -> Iterator[Finding]:
        """Compare files with what was stored; without a resource all, and unknown files too."""
        from dicomdock.archive.verification import verify

        if resource is not None and not self._is_indexed(resource):
            raise not_in_archive(resource)
        if resource is None and not self._files.read_only:
            remove_deleted_files(self._files, self._index)
        yield from verify(self._files, self._index, resource)

    def summary(self) -> Summary:
        """Count what the archive holds."""
        with self._index.reading() as connection:
            return summary_of(connection)

    def _is_indexed(self, resource: Resource) -> bool:
        with self._index.reading() as connection:
            return is_indexed(connection, resource)

    def _found(self, resource: Resource) -> list[ArchivedInstance]:
        found = self.instances(resource)
        if not found:
            raise not_in_archive(resource)
        return found
