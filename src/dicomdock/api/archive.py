"""Archive: the local archive, with volumes and segmentations, and the way to servers and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self
from weakref import WeakKeyDictionary

from dicomdock import archive
from dicomdock.api.home import resource_of
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.sources import JsonValue, Page, Part, StoreResult

if TYPE_CHECKING:  # libraries of images are slow to import
    from numpy.typing import ArrayLike
    from pydicom.dataset import Dataset

    from dicomdock.api.cohort import Cohort
    from dicomdock.api.deidentify import DeidentifiedExport
    from dicomdock.api.dose import Dose
    from dicomdock.api.export import Exported as ExportedImage
    from dicomdock.api.export import Format
    from dicomdock.api.ingest import ImportReport
    from dicomdock.api.key_images import KeyImages
    from dicomdock.api.multivolume import MultiVolume
    from dicomdock.api.presentation import Presentation
    from dicomdock.api.project import AnnotationProject
    from dicomdock.api.segmentation import Kind, Segmentation
    from dicomdock.api.statistics import Statistics
    from dicomdock.api.targets import TargetTable
    from dicomdock.api.tool_points import LabelledPoint
    from dicomdock.api.volume import Volume
    from dicomdock.archive.adoption import Finding
    from dicomdock.archive.eviction import Eviction
    from dicomdock.archive.export import Exported
    from dicomdock.archive.index.queries import ArchivedInstance, Summary
    from dicomdock.archive.writer import ArchiveWriter
    from dicomdock.imaging.presentation_state import PresentationState
    from dicomdock.imaging.registration import Registration
    from dicomdock.imaging.terminology import Code
    from dicomdock.imaging.waveforms import Channel
    from dicomdock.transfer import PullReport, PushReport


class Archive:
    """The instances on this machine, as volumes and segmentations too.

    Every method takes a resource as a ``Resource`` or as text, ``STUDY/SERIES/INSTANCE``. A dock that runs
    on the same archive shows what is changed by it.

    Parameters
    ----------
    local : the archive itself, as the command line and the dock use it.
    settings : of the archive and of the servers.
    """

    def __init__(self, local: archive.Archive, settings: Settings) -> None:
        self.local = local
        self._settings = settings
        self._saved: WeakKeyDictionary[object, dict[str, Resource]] = WeakKeyDictionary()

    @classmethod
    def open(cls, settings: Settings | None = None) -> Self:
        """Open the archive, or create it where there is none; use it in a ``with`` block, or ``close`` it.

        Parameters
        ----------
        settings : where it is; by default what ``Settings.load()`` returns, as on the command line.

        Raises
        ------
        ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
        """
        settings = settings or Settings.load()
        return cls(archive.Archive.open(settings), settings)

    def close(self) -> None:
        """Close the archive."""
        self.local.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The name of this source beside those of servers."""
        return self.local.name

    def volume(self, series: Resource | str, *, name: str | None = None) -> Volume:
        """Read a series as a numpy array with its position in the patient.

        Parameters
        ----------
        name : which volume, where the series holds several (``volumes`` yields them all).

        Raises
        ------
        NotInArchive
            The series is not in the archive.
        GeometryError
            It holds no image, or several volumes and none was named.
        """
        from dicomdock.api.volume import find_volume

        return find_volume(self, resource_of(series, "series"), name)

    def volumes(self, series: Resource | str) -> Iterator[Volume]:
        """Read all volumes of a series, one after the other, the largest first.

        Raises
        ------
        NotInArchive
            The series is not in the archive.
        GeometryError
            It holds no image.
        """
        from dicomdock.api.volume import read_volumes

        return read_volumes(self, resource_of(series, "series"))

    def multivolume(self, series: Resource | str) -> MultiVolume:
        """Return the time points, echoes or b-values of a series as one object.

        Raises
        ------
        NotInArchive
            The series is not in the archive.
        GeometryError
            No two volumes of it share a grid.
        """
        from dicomdock.api.multivolume import MultiVolume

        return MultiVolume(self, resource_of(series, "series"))

    def key_images(self, resource: Resource | str) -> KeyImages:
        """Read a Key Object Selection, an instance or a series of just one.

        Raises
        ------
        NotInArchive
            It is not in the archive.
        GeometryError
            It is none.
        """
        from dicomdock.api.key_images import read

        return read(self, resource_of(resource, "series", "instance"))

    def key_images_of(self, study: Resource | str) -> list[KeyImages]:
        """Return the Key Object Selections of a study.

        Raises
        ------
        NotInArchive
            The study is not in the archive.
        DamagedInstances
            Files of them are not what was stored.
        """
        from dicomdock.api.key_images import of_study

        return list(of_study(self, resource_of(study, "study")))

    def save_key_images(
        self, images: Sequence[Resource | str], *, title: str = "Of Interest", description: str = ""
    ) -> Resource:
        """Store a Key Object Selection of instances of one study.

        Parameters
        ----------
        images : instances, with frames where some are meant.
        title : a document title of CID 7010: ``Of Interest``, ``For Teaching``.

        Raises
        ------
        InvalidInput
            The title is not known, or a resource is not an instance.
        NotInArchive
            An image is not in the archive.
        GeometryError
            They are of several studies, or none was named.
        """
        from dicomdock.api.key_images import save

        return save(self, images, title, description)

    def presentation(self, resource: Resource | str) -> Presentation:
        """Read a Grayscale Softcopy Presentation State, an instance or a series of just one.

        Raises
        ------
        NotInArchive
            It is not in the archive.
        GeometryError
            It is none.
        """
        from dicomdock.api.presentation import read

        return read(self, resource_of(resource, "series", "instance"))

    def save_presentation(self, images: Sequence[Resource | str], state: PresentationState) -> Resource:
        """Store a presentation state for grey instances of one study.

        Parameters
        ----------
        images : instances, with frames where some are meant; they replace those of the state.
        state : window, area and annotations.

        Raises
        ------
        InvalidInput
            A resource is not an instance.
        NotInArchive
            An image is not in the archive.
        GeometryError
            Images are in colour, of several studies, or have different rescales.
        """
        from dicomdock.api.presentation import save

        return save(self, images, state)

    def waveform(self, resource: Resource | str) -> list[Channel]:
        """Read the channels of a waveform, an instance or a series of just one.

        Raises
        ------
        NotInArchive
            It is not in the archive.
        GeometryError
            It is none, or cannot be read.
        """
        from dicomdock.api.instances import read_single
        from dicomdock.imaging.waveforms import read_waveform

        return read_waveform(read_single(self, resource_of(resource, "series", "instance")))

    def save_statistics(self, statistics: Statistics, segmentation: Resource | str) -> Resource:
        """Store the numbers of segments as a measurement report (TID 1500) that refers to each segment.

        Percentiles and the longest diameter within a slice, for which the standard has no codes, are left
        out.

        Parameters
        ----------
        segmentation : the DICOM Segmentation that was measured; an instance, or a series of just one.

        Raises
        ------
        InvalidInput
            It holds other segments than those that were measured.
        NotInArchive
            The segmentation or its images are not in the archive.
        GeometryError
            It is a structure set, or its images are of another study.
        """
        from dicomdock.api.statistics import save

        return save(self, statistics, resource_of(segmentation, "series", "instance"))

    def targets(self, studies: Sequence[Resource | str], *, only: Sequence[str] = ()) -> TargetTable:
        """Return the diameters of lesions over studies of one patient, from their measurement reports.

        Parameters
        ----------
        only : names of lesions; empty for all that have a diameter.

        Raises
        ------
        InvalidInput
            The studies are of several patients.
        """
        from dicomdock.api.targets import measured

        return measured(self, [resource_of(one, "study") for one in studies], only)

    def registrations(self, resource: Resource | str) -> list[Registration]:
        """Read the Spatial Registrations of an instance, a series or a study.

        Raises
        ------
        NotInArchive
            Nothing of it is in the archive.
        GeometryError
            It is not a Spatial Registration, or not rigid.
        """
        from dicomdock.api.registration import read_all

        return read_all(self, resource_of(resource))

    def save_registration(
        self,
        fixed: Resource | str,
        moving: Resource | str,
        matrix: ArrayLike,
        *,
        kind: Code | None = None,
        comment: str = "",
    ) -> Resource:
        """Store a rigid Spatial Registration of two series in the study of the first.

        Parameters
        ----------
        matrix : 4 x 4, takes points of ``moving`` to points of ``fixed``, in mm, LPS.
        kind : how it was found, of CID 7100.
        comment : in words.

        Raises
        ------
        NotInArchive
            A series is not in the archive.
        GeometryError
            The matrix is not rigid, or both series lie in one frame of reference, or one in none or several.
        """
        from dicomdock.api.registration import save

        return save(self, resource_of(fixed, "series"), resource_of(moving, "series"), matrix, kind, comment)

    def registered(
        self, registration: Resource | str, *, fixed: Resource | str, moving: Resource | str
    ) -> Volume:
        """Return the moving series on the grid of the fixed one, with linear interpolation.

        Parameters
        ----------
        registration : a Spatial Registration, or a study with some.

        Raises
        ------
        NotInArchive
            One of them is not in the archive.
        GeometryError
            No registration joins their frames of reference, or a series holds several volumes.
        """
        from dicomdock.api.registration import on_grid

        return on_grid(self.registrations(registration), self.volume(moving), self.volume(fixed))

    def segmentation(self, resource: Resource | str) -> Segmentation:
        """Read a DICOM Segmentation or an RT Structure Set.

        It is returned on the grid of its images where they are in the archive and its voxels are voxels of
        that grid; ``remarks`` says where they are not.

        Parameters
        ----------
        resource : an instance, or a series of just one.

        Raises
        ------
        NotInArchive
            It is not in the archive.
        GeometryError
            It is neither, or cannot be read.
        """
        from dicomdock.api.segmentation import read

        return read(self, resource_of(resource, "series", "instance"))

    def dose(self, resource: Resource | str) -> Dose:
        """Read an RT Dose.

        Parameters
        ----------
        resource : an instance, or a series of just one.

        Raises
        ------
        NotInArchive
            It is not in the archive.
        GeometryError
            It is none, or does not state its scaling, units, type or position.
        """
        from dicomdock.api.dose import read

        return read(self, resource_of(resource, "series", "instance"))

    def import_segmentation(
        self,
        path: Path | str,
        images: Resource | str | None = None,
        *,
        names: Mapping[int, str] | None = None,
        name: str = "",
        resample: bool = False,
        kind: Kind = "BINARY",
    ) -> Segmentation:
        """Store a NIfTI or NRRD label map in the study of its images, as a DICOM Segmentation.

        Only the headers of its images are read. The result's ``save`` returns where it was stored.

        Parameters
        ----------
        images : the series it was drawn on; by default what the file beside it says, which ``export_as``
            wrote.
        names : of the segments, by value.
        name : of the whole, the description of its series; by default the file's.
        resample : take the nearest voxels where the grids differ.
        kind : ``BINARY``, which every program reads; ``LABELMAP``; or ``STRUCTURES``, an RT Structure Set.

        Raises
        ------
        NotInArchive
            The images are not in the archive.
        GeometryError
            It is not a label map, its grid is not that of the images, or no voxel of it lies in them.
        """
        from dicomdock.api.ingest import import_segmentation

        series = None if images is None else resource_of(images, "series")
        return import_segmentation(
            self, Path(path), series, names=names or {}, name=name, resample=resample, kind=kind
        )

    def run_tool(
        self,
        name: str,
        series: Resource | str,
        *,
        volume: str | None = None,
        points: Sequence[LabelledPoint] = (),
        progress: Callable[[str], object] = lambda _line: None,
    ) -> Segmentation:
        """Run a tool on a series and store its segmentation as a draft, in the study of the images.

        Parameters
        ----------
        name : of a tool that ``dicomdock tool add`` has declared.
        volume : which volume, where the series holds several.
        points : for an interactive model.
        progress : is called with each line that the tool says.

        Raises
        ------
        InvalidInput
            The points are not those that the tool takes.
        NotFound, ProfileError
            There is no such tool, its declaration cannot be used, or pixels may not be sent to its address.
        NotInArchive
            The series is not in the archive.
        ToolError, TimedOut
            It failed, gave what cannot be used, or took too long; nothing is stored.
        GeometryError
            The series forms no volume, or the labels are not on its grid; nothing is stored.
        """
        from dicomdock.api.tools import Job, run_on_series
        from dicomdock.config.tools import ToolFolder

        tool = ToolFolder(self._settings).get(name)
        job = Job(tool, self._settings, volume, points=points, operator=self._settings.person)
        with closing(run_on_series(self, job, resource_of(series, "series"))) as work:
            while True:
                try:
                    progress(next(work).line)
                except StopIteration as end:
                    made: Segmentation = end.value
                    break
        made.save(self)
        return made

    def accept_draft(self, resource: Resource | str, person: str) -> Resource:
        """Store a new version of what a tool made that states that a person has accepted it.

        Parameters
        ----------
        resource : the segmentation, an instance or a series of just one.
        person : who accepts it.

        Raises
        ------
        InvalidInput
            It is not a draft, or nobody is named.
        NotInArchive
            It is not in the archive.
        GeometryError
            It cannot be read, or its images are not in the archive.
        """
        from dicomdock.api.tools import accept

        return accept(self, resource_of(resource, "series", "instance"), person)

    def import_derived(self, path: Path | str, images: Resource | str, *, description: str = "") -> Volume:
        """Store a NIfTI or NRRD volume in the study of the images it was computed from, as a new series.

        Parameters
        ----------
        images : the series it was computed from, of CT, MR or PET.
        description : what was done.

        Raises
        ------
        NotInArchive
            The images are not in the archive.
        GeometryError
            The file does not hold one grey volume with a position in the patient.
        """
        from dicomdock.api.ingest import import_derived

        return import_derived(self, Path(path), resource_of(images, "series"), description)

    def export_as(
        self,
        resources: Sequence[Resource | str],
        folder: Path | str,
        format: Format,  # noqa: A002 - what it is called everywhere
        *,
        straighten: bool = False,
        smoothing: int = 20,
    ) -> list[ExportedImage]:
        """Write volumes and segmentations as NIfTI or NRRD, or segments as meshes, in readable folders.

        Beside each volume and segmentation a JSON file says which study it belongs to and what its segments
        are called. What cannot be written (reports, pictures without a position in the patient) is returned
        with the reason.

        Parameters
        ----------
        folder : created where it is missing; nothing in it is overwritten.
        format : ``nifti`` or ``nrrd``; ``stl``, ``obj`` or ``gltf`` for meshes in mm, LPS.
        straighten : resample volumes of a tilted gantry onto a grid with perpendicular axes, which ITK needs.
        smoothing : rounds for meshes; 0 for the surface between the voxels.

        Raises
        ------
        NotInArchive
            A resource is not in the archive.
        InvalidInput
            The folder holds a file of that name.
        """
        from dicomdock.api.export import export_as

        wanted = _list(resources)
        return list(export_as(self.local, self, wanted, Path(folder), format, straighten, smoothing))

    def pull(self, server: str, *resources: Resource | str) -> PullReport:
        """Retrieve studies, series or instances from a server; what the archive holds is not fetched again.

        Parameters
        ----------
        server : name of its profile; empty for the default one.

        Raises
        ------
        ProfileError, AuthenticationError, Unreachable, TransactionError
        """
        from dicomdock.transfer import PullReport

        report = self._transfer("pull", server, resources)
        assert isinstance(report, PullReport)
        return report

    def push(
        self,
        server: str,
        *resources: Resource | str,
        deidentify: str = "",
        key_file: Path | str | None = None,
    ) -> PushReport:
        """Send studies, series or instances of the archive to a server; the report has an answer for each.

        Parameters
        ----------
        server : name of its profile; empty for the default one.
        deidentify, key_file : send de-identified copies by this profile, as in ``export_deidentified``.

        Raises
        ------
        ProfileError, AuthenticationError, Unreachable, TransactionError
        InvalidInput
            The profile or the key file cannot be read.
        """
        from dicomdock.transfer import PushReport

        options: dict[str, JsonValue] = {}
        if deidentify or key_file is not None:
            from dicomdock.transfer.deidentified import deidentifier_for, options_for

            options = options_for(deidentify, None if key_file is None else Path(key_file), None)
            deidentifier_for(self._settings, options)  # refuses what cannot be read before it is queued
        report = self._transfer("push", server, resources, options)
        assert isinstance(report, PushReport)
        return report

    def search(self, query: Query) -> Iterator[Page]:
        """Yield pages of the studies, series or instances that match, the latest studies first."""
        return self.local.search(query)

    def instances(self, resource: Resource | str) -> list[ArchivedInstance]:
        """List the instances of a resource by series and instance number; none is not an error."""
        return self.local.instances(resource_of(resource))

    def present(self, resource: Resource | str) -> set[str]:
        """Return the SOP Instance UIDs of a resource that are in the archive."""
        return self.local.present(resource_of(resource))

    def summary(self) -> Summary:
        """Count what is in the archive."""
        return self.local.summary()

    def retrieve(self, resource: Resource | str) -> Iterator[Part]:
        """Yield the instances of a resource as their files.

        Raises
        ------
        NotFound
            Nothing of it is in the archive.
        """
        return self.local.retrieve(resource_of(resource))

    def metadata(self, resource: Resource | str) -> Iterator[DicomJson]:
        """Yield the attributes of every instance of a resource.

        Raises
        ------
        NotFound
            Nothing of it is in the archive.
        """
        return self.local.metadata(resource_of(resource))

    def store(self, parts: Iterable[Part], *, study: str | None = None) -> Iterator[StoreResult]:
        """Store instances, and yield the outcome of each when it is committed.

        Parameters
        ----------
        study : the Study Instance UID that all of them must have.
        """
        return self.local.store(parts, study=study)

    def writer(self, *, origin: str = "", made_here: bool = False, replace: bool = False) -> ArchiveWriter:
        """Return a writer of instances; use it in a ``with`` block.

        Parameters
        ----------
        origin : name of the server that the instances come from.
        made_here : this program made them, so they exist nowhere else.
        replace : let other bytes under a known UID replace the first ones.
        """
        return self.local.writer(origin=origin, made_here=made_here, replace=replace)

    def import_paths(
        self, paths: Path | str | Iterable[Path | str], *, origin: str = "", replace: bool = False
    ) -> ImportReport:
        """Import DICOM files and folders, and return the report when all is stored.

        Parameters
        ----------
        paths : files, and folders, which are searched through.
        origin : name of the server that they come from, where that is known.
        replace : let other bytes under a known UID replace the first ones.

        Raises
        ------
        InvalidInput
            A path does not exist.
        NoSpace, ArchiveLocked, ArchiveError
            The archive cannot go on.
        """
        from dicomdock.api.ingest import import_paths

        given = [paths] if isinstance(paths, (str, Path)) else paths
        return import_paths(self.local, [Path(one) for one in given], origin=origin, replace=replace)

    def export(
        self,
        resources: Resource | str | Sequence[Resource | str],
        folder: Path | str,
        *,
        zip: bool = False,  # noqa: A002 - the name of the option
    ) -> list[Exported]:
        """Copy instances to DICOM files with readable names, byte for byte.

        Parameters
        ----------
        folder : created where it is missing; with ``zip`` the name of the zip file.
        zip : write one zip file.

        Raises
        ------
        NotFound
            A resource is not in the archive.
        InvalidInput
            The folder holds a file of that name.
        NoSpace, ArchiveError
            A file cannot be written.
        """
        return list(self.local.export(_list(resources), Path(folder), zip=zip))

    def export_deidentified(
        self,
        resources: Resource | str | Sequence[Resource | str],
        folder: Path | str,
        profile: str = "basic",
        *,
        key_file: Path | str | None = None,
        blank: Sequence[tuple[int, int, int, int]] = (),
        zip: bool = False,  # noqa: A002 - the name of the option
    ) -> DeidentifiedExport:
        """Write de-identified copies of instances as DICOM files; the instances stay as they are.

        Parameters
        ----------
        folder, zip : as in ``export``.
        profile : ``basic``, the Basic Profile of PS3.15, or with options behind commas.
        key_file : the key of the pseudonyms, 64 hexadecimal digits; else this user's, made when first needed.
        blank : left, top, width, height in pixels, blanked in images that would be held back for their text.

        Raises
        ------
        InvalidInput
            The profile or the key file cannot be read; the folder holds a file of that name.
        NotFound
            A resource is not in the archive.
        NoSpace, ArchiveError
            A file cannot be written.
        """
        from dicomdock.api.deidentify import export_deidentified

        key = None if key_file is None else Path(key_file)
        return export_deidentified(
            self.local,
            self._settings,
            _list(resources),
            Path(folder),
            profile,
            key_file=key,
            blank=blank,
            zip=zip,
        )

    def cohort(self, name: str, version: int | None = None) -> Cohort:
        """Return a cohort: many series at once, which ``dicomdock cohort make`` has listed.

        Parameters
        ----------
        version : of its table; None for the last one.

        Raises
        ------
        NotFound
            There is none.
        """
        from dicomdock.api.cohort import Cohort

        return Cohort(self, self._settings, Archive.open, name, version)

    def project(self, name: str) -> AnnotationProject:
        """Return an annotation project.

        Raises
        ------
        NotFound
            There is none.
        """
        from dicomdock.api.project import AnnotationProject

        return AnnotationProject(self, self._settings, name)

    def make_project(
        self,
        name: str,
        cohort: str,
        title: str,
        *,
        instructions: str = "",
        segments: Sequence[str] = (),
        threshold: float = 1.0,
        annotators: Sequence[str] = (),
        reviewers: Sequence[str] = (),
        annotations: int = 1,
        review: bool = False,
    ) -> AnnotationProject:
        """Make an annotation project of the series of a cohort.

        Parameters
        ----------
        title : what is asked, in at most 64 characters.
        segments : that each case is to have: names, or ``NAME=SCHEME:VALUE:MEANING``.
        threshold : share of them, from 0 to 1, of which a submission has at least one voxel.
        annotators, reviewers : by their names; without annotators you are the only one.
        annotations : how many people annotate each series.
        review : another person accepts each annotation, or sends it back.

        Raises
        ------
        InvalidInput
            The project cannot be one, there is one of this name, or the cohort has no series.
        NotFound
            There is no such cohort.
        """
        from dicomdock.api.project import make, segment_term
        from dicomdock.project.model import Project, Task

        task = Task(title, instructions, tuple(map(segment_term, segments)), threshold)
        return make(
            self,
            self._settings,
            Project(
                name,
                task,
                cohort,
                annotators=tuple(annotators),
                reviewers=tuple(reviewers),
                annotations=annotations,
                review=review,
            ),
        )

    def projects(self) -> list[str]:
        """Return the names of all annotation projects."""
        from dicomdock.project.store import Projects

        return Projects(self.local).names()

    def verify(self, resource: Resource | str | None = None) -> Iterator[Finding]:
        """Compare the files of a resource with their recorded digests; without a resource all files."""
        return self.local.verify(None if resource is None else resource_of(resource))

    def remove(self, resource: Resource | str) -> int:
        """Remove a study, series or instance, and return how many instances they were.

        Raises
        ------
        NotFound
            Nothing of it is in the archive.
        """
        return self.local.remove(resource_of(resource))

    def delete(self, resource: Resource | str) -> None:
        """Remove a study, series or instance, as every ``DicomSource`` does."""
        self.remove(resource)

    def pin(self, resource: Resource | str) -> None:
        """Exempt a study, series or instance from eviction, and what is added to it.

        Raises
        ------
        NotFound
            Nothing of it is in the archive.
        """
        self.local.retention.pin(resource_of(resource))

    def unpin(self, resource: Resource | str) -> None:
        """Allow eviction again, of everything below too.

        Raises
        ------
        NotFound
            Nothing of it is in the archive.
        """
        self.local.retention.unpin(resource_of(resource))

    def evict(self, limit: int | None = None) -> Eviction:
        """Remove the least recently used series until the archive holds no more than ``limit`` bytes.

        Parameters
        ----------
        limit : bytes; None for the setting ``archive_limit``.
        """
        return self.local.retention.evict(limit)

    def save_once(self, value: object, make: Callable[[], Sequence[Dataset]], form: str = "") -> Resource:
        """Store what a value is in DICOM, once: a value never changes, so saving it again changes nothing.

        Parameters
        ----------
        make : returns its instances, of one series.
        form : what it is stored as, where there are several forms.

        Returns
        -------
        The instance, or the series where there are several.
        """
        known = self._saved.setdefault(value, {}).get(form)
        if known is not None and self.present(known):
            return known
        from dicomdock.imaging.authoring import to_bytes

        with self.writer(made_here=True) as writer:
            stored = [writer.add(_part(to_bytes(dataset))).resource for dataset in make()]
        saved = stored[0] if len(stored) == 1 else Resource(stored[0].study, stored[0].series)
        self._saved[value][form] = saved
        return saved

    def _transfer(
        self,
        kind: Literal["pull", "push"],
        server: str,
        resources: Sequence[Resource | str],
        options: Mapping[str, JsonValue] | None = None,
    ) -> PullReport | PushReport:
        from dicomdock import dicomweb, transfer
        from dicomdock.config.servers import load_profiles
        from dicomdock.transfer.progress import finish

        settings = self._settings
        wanted = [str(resource_of(one)) for one in resources]
        name = load_profiles(settings).get(server).name
        queue = transfer.TransferQueue(settings)
        claimed = queue.add(kind, name, wanted, options=options, claimed=True)
        work = transfer.run(
            queue, claimed, self.local, lambda name: dicomweb.connect(name, settings), settings
        )
        return finish(work)


def _list(resources: Resource | str | Sequence[Resource | str]) -> list[Resource]:
    given = [resources] if isinstance(resources, (Resource, str)) else resources
    return [resource_of(one) for one in given]


def _part(data: bytes) -> Part:
    return Part("application/dicom", lambda: iter((data,)), length=len(data))
