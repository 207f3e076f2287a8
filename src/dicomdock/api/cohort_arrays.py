"""Series of a cohort as arrays that are read when they are computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dicomdock.api.home import LocalHome, OpenArchive
from dicomdock.api.instances import read
from dicomdock.api.volume import grids, plan_named
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, GeometryError, MissingDependency
from dicomdock.imaging import volume as imaging
from dicomdock.imaging.geometry import VolumeGeometry, VolumePlan

if TYPE_CHECKING:
    import xarray

INSTALL = "install it with: pip install 'dicomdock[notebook]'"


@dataclass(frozen=True)
class Slices:
    """Some consecutive slices of a volume, read in whatever process computes them.

    Parameters
    ----------
    settings, open_archive : of the archive that has the series.
    plan : of these slices.
    dtype : of the whole volume.
    """

    settings: Settings
    open_archive: OpenArchive
    series: Resource
    plan: VolumePlan
    dtype: np.dtype[Any]

    def __call__(self) -> Any:
        """Read them.

        Raises
        ------
        GeometryError
            Instances are not in the archive any more, or cannot be decoded.
        DamagedInstances
            Their files are not what was stored.
        """
        wanted = set(self.plan.instances)
        with self.open_archive(self.settings) as archive:
            found = [one for one in archive.local.instances(self.series) if one.resource.instance in wanted]
            if damaged := archive.local.damaged(found):
                raise DamagedInstances(damaged)
            files = {str(one.resource.instance): one.path for one in found}
            if gone := wanted - files.keys():
                raise GeometryError(f"{len(gone)} instances of {self.series} are gone.", sorted(gone))
            imaging.check_claim(self.plan, sum(path.stat().st_size for path in files.values()))
            volume = imaging.allocate(self.plan)
            for path in files.values():
                imaging.fill_slice(volume, read(path))
        return volume.array.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class Missing:
    """Slices that no instance has."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    value: int

    def __call__(self) -> Any:
        """Return what a volume has there."""
        return np.full(self.shape, self.value, self.dtype)


def lazy_array(
    archive: LocalHome,
    settings: Settings,
    open_archive: OpenArchive,
    series: Resource,
    name: str | None,
    slices: int,
) -> xarray.DataArray:
    """Return a volume of a series whose slices are read when they are computed; headers are read at once.

    Raises
    ------
    NotInArchive, GeometryError
        As ``Archive.volume``.
    MissingDependency
        xarray or Dask is not installed.
    """
    try:
        import xarray

        from dicomdock.cohort.lazy import stacked
    except ImportError:
        raise MissingDependency("What reads arrays lazily (xarray and Dask)", INSTALL) from None
    found = grids(archive, series)
    plan = plan_named([plan for _, plan in found], series, name)
    volume = next(one for one, its_plan in found if its_plan is plan)
    blocks = []
    for start in range(0, len(plan.planes), slices):
        part = _part(plan, start, start + slices)
        shape = (len(part.planes), *plan.shape[1:])
        blocks.append(
            (
                Slices(settings, open_archive, series, part, plan.dtype)
                if any(part.planes)
                else Missing(shape, plan.dtype, imaging.AIR if plan.units == "HU" else 0),
                shape[0],
            )
        )
    attributes = {
        "StudyInstanceUID": series.study,
        "SeriesInstanceUID": series.series,
        "name": plan.label,
        "modality": volume.modality,
        "units": volume.units,
        "affine": volume.affine.tolist(),
        "spacing": list(map(float, volume.geometry.spacing)),
        "remarks": list(volume.remarks),
    }
    dims = ("k", "j", "i", "rgb")[: len(plan.shape)]
    return xarray.DataArray(stacked(blocks, plan.shape, plan.dtype), dims=dims, attrs=attributes)


def _part(plan: VolumePlan, start: int, end: int) -> VolumePlan:
    """Return the plan of some slices of a volume."""
    planes = plan.planes[start:end]
    affine = plan.geometry.affine.copy()
    affine[:3, 3] = plan.geometry.to_lps([start, 0, 0])
    geometry = VolumeGeometry((len(planes), *plan.geometry.shape[1:]), affine)
    return replace(plan, planes=planes, geometry=geometry)
