"""Archive: the local archive, with volumes and segmentations, and the way to servers and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self
from weakref import WeakKeyDictionary

from dicomdock import archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.sources import Part

if TYPE_CHECKING:  # libraries of images are slow to import
    from pydicom.dataset import Dataset

    from dicomdock.api.export import Exported, Format
    from dicomdock.api.segmentation import Kind, Segmentation
    from dicomdock.api.volume import Volume
    from dicomdock.transfer import PullReport, PushReport


class Archive(archive.Archive):
    """Instances kept on this machine, as volumes and segmentations too.

    Resources are given as ``Resource`` or as text, ``STUDY/SERIES/INSTANCE``. A dock that runs on the same
    archive sees what is done here.
    """

    _settings: Settings
    _kept: WeakKeyDictionary[object, Resource]

    @classmethod
    def open(cls, settings: Settings | None = None) -> Self:
        """Open the archive, and make it where there is none; use it in a ``with`` block, or ``close`` it.

        Parameters
        ----------
        settings : where it is; else what ``Settings.load()`` gives, as on the command line.

        Raises
        ------
        ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
        """
        settings = settings or Settings.load()
        opened = super().open(settings)
        assert isinstance(opened, cls), "the class that is asked is the class that is made"
        opened._settings, opened._kept = settings, WeakKeyDictionary()
        return opened

    def volume(self, series: Resource | str, *, name: str | None = None) -> Volume:
        """Read a series as a numpy array with its place in the patient.

        Parameters
        ----------
        name : which volume, where the series holds several (``volumes`` gives them all).

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

    def segmentation(self, resource: Resource | str) -> Segmentation:
        """Read a DICOM Segmentation or an RT Structure Set.

        It is given on the grid of its images where they are in the archive and its voxels are voxels of that
        grid; ``remarks`` says where they are not.

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
        """Take a NIfTI or NRRD label map into the study of its images, as a DICOM Segmentation.

        Only the headers of its images are read. The result's ``save`` tells where it was stored.

        Parameters
        ----------
        images : the series it was drawn on; else what the file beside it says, which ``export_as`` wrote.
        names : of the segments, by value.
        name : of the whole, the description of its series; else the file's.
        resample : take the nearest voxels where the grids differ.
        kind : ``BINARY``, which every program reads, or ``LABELMAP``.

        Raises
        ------
        NotInArchive
            The images are not in the archive.
        GeometryError
            It is no label map, or its grid is not that of the images.
        """
        from dicomdock.api.ingest import import_segmentation

        series = None if images is None else resource_of(images, "series")
        return import_segmentation(
            self, Path(path), series, names=names or {}, name=name, resample=resample, kind=kind
        )

    def import_derived(self, path: Path | str, images: Resource | str, *, description: str = "") -> Volume:
        """Take a NIfTI or NRRD volume into the study of the images it was made of, as a new series.

        Parameters
        ----------
        images : the series it was made of, of CT, MR or PET.
        description : what was done, in words.

        Raises
        ------
        NotInArchive
            The images are not in the archive.
        GeometryError
            The file holds no single grey volume with a place in the patient.
        """
        from dicomdock.api.ingest import import_derived

        return import_derived(self, Path(path), resource_of(images, "series"), description)

    def export_as(
        self,
        resources: Sequence[Resource | str],
        folder: Path | str,
        format: Format,  # noqa: A002 - what it is called everywhere
    ) -> Iterator[Exported]:
        """Write volumes and segmentations as NIfTI or NRRD, in folders with readable names.

        Beside each a JSON file says which study it belongs to and what its segments are called. What cannot
        be written so (reports, pictures without a place in the patient) is given with the reason.

        Parameters
        ----------
        folder : made where it is missing; nothing in it is overwritten.
        format : ``nifti`` or ``nrrd``.

        Raises
        ------
        NotInArchive
            A resource is not in the archive.
        InvalidInput
            A file of that name is there.
        """
        from dicomdock.api.export import Item, export_as
        from dicomdock.archive.export import planned
        from dicomdock.dicom.sop_classes import kind_of

        wanted = [resource_of(one) for one in resources]
        kinds = {
            one.resource: kind_of(one.sop_class_uid) for resource in wanted for one in self._found(resource)
        }
        with self._index.reading() as connection:
            plan = planned(connection, self._files.folder, wanted)
        items = [Item(place, file, name, kinds[place]) for place, file, name, _ in plan]
        yield from export_as(self, items, Path(folder), format)

    def pull(self, server: str, *resources: Resource | str) -> PullReport:
        """Bring studies, series or instances from a server here; what is here already is not fetched again.

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

    def push(self, server: str, *resources: Resource | str) -> PushReport:
        """Send studies, series or instances of the archive to a server; the report has an answer for each.

        Parameters
        ----------
        server : name of its profile; empty for the default one.

        Raises
        ------
        ProfileError, AuthenticationError, Unreachable, TransactionError
        """
        from dicomdock.transfer import PushReport

        report = self._transfer("push", server, resources)
        assert isinstance(report, PushReport)
        return report

    def keep(self, value: object, make: Callable[[], Sequence[Dataset]]) -> Resource:
        """Store what a value is in DICOM, once: a value never changes, so keeping it again changes nothing.

        Parameters
        ----------
        make : gives its instances, of one series.

        Returns
        -------
        The instance, or the series where there are several.
        """
        known = self._kept.get(value)
        if known is not None and self.present(known):
            return known
        from dicomdock.imaging.authoring import to_bytes

        with self.writer(made_here=True) as writer:
            places = [writer.add(_part(to_bytes(dataset))).resource for dataset in make()]
        kept = places[0] if len(places) == 1 else Resource(places[0].study, places[0].series)
        self._kept[value] = kept
        return kept

    def _transfer(
        self, kind: Literal["pull", "push"], server: str, resources: Sequence[Resource | str]
    ) -> PullReport | PushReport:
        from dicomdock import dicomweb, transfer
        from dicomdock.config.servers import load_profiles

        settings = self._settings
        wanted = [str(resource_of(one)) for one in resources]
        name = load_profiles(settings).get(server).name
        queue = transfer.TransferQueue(settings)
        claimed = queue.add(kind, name, wanted, claimed=True)
        work = transfer.run(queue, claimed, self, lambda name: dicomweb.connect(name, settings), settings)
        with closing(work):
            while True:
                try:
                    next(work)
                except StopIteration as end:
                    report: PullReport | PushReport = end.value
                    return report


def resource_of(given: Resource | str, *levels: str) -> Resource:
    """Read a resource, and refuse one of another level.

    Raises
    ------
    InvalidInput
        It is none, or of another level.
    """
    resource = Resource.parse(given) if isinstance(given, str) else given
    if levels and resource.level not in levels:
        raise InvalidInput(f"{resource} is a {resource.level}; name a {' or '.join(levels)}: STUDY/SERIES.")
    return resource


def _part(data: bytes) -> Part:
    return Part("application/dicom", lambda: iter((data,)), length=len(data))
