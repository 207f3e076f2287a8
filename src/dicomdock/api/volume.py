"""Volume: a series of the archive as a numpy array, which knows where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydicom.dataset import Dataset

from dicomdock.api.home import Home, resource_of
from dicomdock.api.instances import READERS, headers_of, paths_of, read
from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging import volume as imaging
from dicomdock.imaging.attributes import text
from dicomdock.imaging.derived import Derivation, derived_to_dicom
from dicomdock.imaging.geometry import VolumePlan, split_series
from dicomdock.imaging.terminology import Code

if TYPE_CHECKING:
    from dicomdock.transfer import PushReport

MADE_ELSEWHERE = Code("IMAGE_PROCESSING", "99DICOMDOCK", "Image processing described in words")


@dataclass(frozen=True, eq=False, repr=False)
class Volume(imaging.Volume):
    """Values on a grid in the patient: ``array`` (k, j, i) and ``geometry`` (mm, LPS).

    Parameters
    ----------
    series : what it was read from; None for one that is not from an archive.
    archive : what keeps that.
    """

    series: Resource | None = None
    archive: Home | None = None

    @classmethod
    def from_file(cls, path: Path | str) -> Self:
        """Read a NIfTI or NRRD file of one volume.

        Raises
        ------
        InvalidInput
            The file's name states neither.
        GeometryError
            It cannot be read, or holds several volumes.
        """
        from dicomdock.api.files import read_volumes as read_file

        found = read_file(Path(path))
        if len(found) > 1:
            raise GeometryError(f"{path} holds {len(found)} volumes; hand in one at a time.")
        return cls.of(found[0])

    def to_file(self, path: Path | str) -> None:
        """Write a NIfTI (``.nii.gz``, ``.nii``) or NRRD (``.nrrd``) file.

        Raises
        ------
        InvalidInput
            The name is of another kind.
        GeometryError
            The volume has no place in the patient.
        """
        from dicomdock.api.files import write_volume

        write_volume(self, Path(path))

    def save(
        self,
        description: str = "Derived",
        archive: Home | None = None,
        images: Resource | str | None = None,
    ) -> Resource:
        """Store the volume in the archive as a derived series of CT, MR or PET images.

        Make the volume with ``dataclasses.replace(volume, array=...)``. Saving the same volume again changes
        nothing.

        Parameters
        ----------
        description : what was done, in words.
        archive : another than its images are from.
        images : the series that it was made of, where the volume does not know it.

        Returns
        -------
        The new series, in the study of its images.

        Raises
        ------
        InvalidInput
            The volume knows neither archive nor images, and none were given.
        GeometryError
            It is in colour or has no place in the patient, or its images are neither CT, MR nor PET.
        """
        home, source = home_of(archive or self.archive), images_of(images or self.series)
        derivation = Derivation(self, MADE_ELSEWHERE, description)
        return home.save_once(self, lambda: derived_to_dicom(derivation, headers_of(paths_of(home, source))))

    def push(self, server: str, description: str = "Derived", archive: Home | None = None) -> PushReport:
        """Send the volume as a derived series to a server, after ``save``.

        Parameters
        ----------
        server : name of its profile; empty for the default one.
        description : what was done, in words.
        archive : another than its images are from.

        Returns
        -------
        PushReport
            ``complete`` states whether the server has all of it; ``results`` why not.
        """
        place = self.save(description, archive)
        home = archive or self.archive
        assert home is not None, "save needs it too"
        return home.push(server, place)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.geometry.shape))
        spacing = "x".join(f"{value:.3g}" for value in self.geometry.spacing)
        units = f", {self.units}" if self.units else ""
        where = f" of {self.series}" if self.series else ""
        return f"<Volume {size} {self.array.dtype}, {spacing} mm{units}{where}>"

    @classmethod
    def of(cls, found: imaging.Volume, series: Resource | None = None, archive: Home | None = None) -> Self:
        """Make one of what imaging reads.

        Parameters
        ----------
        series, archive : what it was read from.
        """
        values = {one.name: getattr(found, one.name) for one in fields(imaging.Volume)}
        return cls(**values, series=series, archive=archive)


def home_of(archive: Home | None) -> Home:
    """Return the archive that a value is saved to.

    Raises
    ------
    InvalidInput
        It is not known.
    """
    if isinstance(archive, (str, Resource)):
        raise InvalidInput(f"{archive} is not an archive; name the series: save(images='STUDY/SERIES').")
    if archive is None:
        raise InvalidInput("It comes from no archive; name one: archive=...")
    return archive


def images_of(images: Resource | str | None) -> Resource:
    """Return the series that a value belongs to.

    Raises
    ------
    InvalidInput
        It is not known, or is not a series.
    """
    if images is None:
        raise InvalidInput("It comes from no series of the archive; name one: save(images='STUDY/SERIES').")
    return resource_of(images, "series")


def grids(archive: Home, series: Resource) -> list[tuple[Volume, VolumePlan]]:
    """Return the volumes of a series without their values: headers are read, not pixels."""
    plans = split_series(headers_of(paths_of(archive, series)))
    return [(Volume.of(imaging.outline(plan), series, archive), plan) for plan in plans]


def read_volumes(archive: Home, series: Resource) -> Iterator[Volume]:
    """Read the volumes of a series, one after the other."""
    paths = paths_of(archive, series)
    headers = headers_of(paths)
    for plan in split_series(headers):
        yield Volume.of(fill(plan, paths, headers), series, archive)


def find_volume(archive: Home, series: Resource, name: str | None) -> Volume:
    """Read one volume of a series: the only one, or the one of a name."""
    paths = paths_of(archive, series)
    headers = headers_of(paths)
    plan = plan_named(split_series(headers), series, name)
    return Volume.of(fill(plan, paths, headers), series, archive)


def plan_named(plans: Sequence[VolumePlan], series: Resource, name: str | None) -> VolumePlan:
    """Return the volume of a series that has a name; without a name the only one.

    Raises
    ------
    GeometryError
        There is none, or there are several.
    """
    chosen = [plan for plan in plans if name is None or plan.label == name]
    if len(chosen) != 1:
        names = ", ".join(repr(plan.label) for plan in plans)
        raise GeometryError(f"{series} holds {len(plans)} volumes: {names}; name one, or read all of them.")
    return chosen[0]


def fill(plan: VolumePlan, paths: Sequence[Path], headers: Sequence[Dataset]) -> imaging.Volume:
    """Read the pixels of a volume.

    Parameters
    ----------
    paths, headers : of the instances of its series, in the same order.
    """
    wanted = set(plan.instances)
    files = [
        path for path, header in zip(paths, headers, strict=True) if text(header, "SOPInstanceUID") in wanted
    ]
    imaging.check_claim(plan, sum(path.stat().st_size for path in files))
    volume = imaging.allocate(plan)
    with ThreadPoolExecutor(READERS, "pixels") as pool:
        # Used up, so that an error of a thread is raised here.
        list(pool.map(lambda path: imaging.fill_slice(volume, read(path)), files))
    return volume
