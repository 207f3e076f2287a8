"""MultiVolume: the time points, echoes or b-values of a series as one object."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicomdock.api.home import Home
from dicomdock.api.instances import headers_of, paths_of
from dicomdock.api.segmentation import Segmentation
from dicomdock.api.table import Cell, CsvTable
from dicomdock.api.volume import Volume, fill
from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError
from dicomdock.imaging import multivolume as imaging
from dicomdock.imaging.formats.csv_text import csv_of
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.parametric import ParametricMap, parametric_map_to_dicom
from dicomdock.imaging.volume.volume import MAX_BYTES

COLUMNS = ("volume", "axis", "value", "axis_unit", "label", "values", "mean", "standard_deviation")
EXTREMES = ("minimum", "maximum", "median", "unit")


class MultiVolume:
    """The volumes of a series that lie on one grid, in the order of what they differ in.

    Volumes are read when they are asked for, one after the other.

    Parameters
    ----------
    archive : keeps the series.
    series : the series.

    Attributes
    ----------
    axis : what the volumes differ in: ``name``, ``unit`` and ``values``.
    remarks : what the user should know, one sentence each.

    Raises
    ------
    NotInArchive
        The series is not in the archive.
    GeometryError
        No two volumes of it share a grid.
    """

    def __init__(self, archive: Home, series: Resource) -> None:
        self.archive, self.series = archive, series
        self._paths = paths_of(archive, series)
        self._headers = headers_of(self._paths)
        found = imaging.members_of(split_series(self._headers))
        self._plans = found.plans
        self.axis = found.axis
        self.remarks = found.remarks

    def __len__(self) -> int:
        return len(self._plans)

    def __iter__(self) -> Iterator[Volume]:
        return (self[at] for at in range(len(self)))

    def __getitem__(self, at: int) -> Volume:
        plan = self._plans[at]
        return Volume.of(fill(plan, self._paths, self._headers), self.series, self.archive)

    @property
    def array(self) -> npt.NDArray[np.generic]:
        """All values, (t, k, j, i).

        Raises
        ------
        GeometryError
            They are too many for one array.
        """
        size = sum(math.prod(plan.shape) * plan.dtype.itemsize for plan in self._plans)
        if size > MAX_BYTES:
            raise GeometryError(f"All volumes take {size >> 30} GiB; read them one after the other.")
        return np.stack([volume.array for volume in self])

    def mean(self) -> Volume:
        """Return the mean over all volumes; NaN where none has a value."""
        return self._placed(Volume.of(imaging.mean(self)))

    def maximum(self) -> Volume:
        """Return the greatest value at each voxel over all volumes; NaN where none has a value."""
        return self._placed(Volume.of(imaging.maximum(self)))

    def difference(self, at: int, before: int = 0) -> Volume:
        """Return a volume less an earlier one, both by number from 0; NaN where one has no value."""
        return self._placed(Volume.of(imaging.difference(self[at], self[before])))

    def curves(self, segmentation: Segmentation) -> Curves:
        """Return the values of each segment in each volume.

        Raises
        ------
        GeometryError
            The segmentation has another frame of reference.
        """
        return self._curves(imaging.region_curve(self, segmentation))

    def curve(self, point: Sequence[float]) -> Curves:
        """Return the values of the voxel at a point, in mm, LPS.

        Raises
        ------
        GeometryError
            The point lies outside the images.
        """
        return self._curves(imaging.voxel_curve(self, point))

    def adc(self) -> Map:
        """Return the apparent diffusion coefficient in um2/s, by least squares over all stated b-values.

        Raises
        ------
        GeometryError
            The images do not state two different b-values.
        """
        found, remarks = imaging.apparent_diffusion(self, self.axis, self._plans)
        return self._map(found, remarks)

    def trace(self, b_value: float) -> Map:
        """Return the geometric mean of the images of a b-value over its gradient directions.

        Raises
        ------
        GeometryError
            No volume has that b-value, or its directions are not stated or do not span space.
        """
        return self._map(imaging.trace_weighted(self, self.axis, self._plans, b_value), ())

    def _map(self, found: ParametricMap, remarks: tuple[str, ...]) -> Map:
        return Map(found, self.series, self.archive, (*self.remarks, *remarks))

    def _placed(self, volume: Volume) -> Volume:
        return Volume.of(volume, self.series, self.archive)

    def _curves(self, samples: Sequence[imaging.Sample]) -> Curves:
        return Curves(self.axis, tuple(samples), self._plans[0].units, self.series, self.remarks)

    def __repr__(self) -> str:
        size = "x".join(map(str, self._plans[0].geometry.shape))
        return f"<MultiVolume {len(self)} x {size} by {self.axis.name} of {self.series}>"


@dataclass(frozen=True, eq=False)
class Map:
    """A parametric map that was computed of a series.

    Parameters
    ----------
    map : its values, unit and quantity.
    series, archive : what it was computed of.
    remarks : what the user should know, one sentence each.
    """

    map: ParametricMap
    series: Resource
    archive: Home
    remarks: tuple[str, ...] = ()

    @property
    def array(self) -> npt.NDArray[np.generic]:
        """The values (k, j, i), in the unit of the map; NaN where there is none."""
        return self.map.volume.array

    def save(self) -> Resource:
        """Store the map in the archive as a DICOM Parametric Map, once; return the instance."""
        headers = headers_of(paths_of(self.archive, self.series))
        return self.archive.save_once(self, lambda: [parametric_map_to_dicom(self.map, headers)])


@dataclass(frozen=True)
class Curves(CsvTable):
    """Values over the volumes of a series.

    Parameters
    ----------
    axis : what the volumes differ in.
    samples : the values of each region in each volume.
    unit : of the values; may be empty.
    images : the series.
    remarks : what the user should know, one sentence each.
    """

    axis: imaging.Axis
    samples: tuple[imaging.Sample, ...]
    unit: str
    images: Resource
    remarks: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Cell]]:
        """Return a row for each region and volume; None for a number that there is not."""
        return [self._row(one) for one in self.samples]

    def csv(self) -> str:
        """Return the table as CSV with a header line; an absent number is an empty field."""
        return csv_of((*COLUMNS, *EXTREMES), self.rows())

    def _row(self, one: imaging.Sample) -> dict[str, Cell]:
        values = one.values
        cells: list[Cell] = [one.at + 1, self.axis.name, self.axis.values[one.at], self.axis.unit, one.label]
        if values is None:
            cells += [0, None, None, None, None, None]
        else:
            cells += [values.count, values.mean, values.deviation]
            cells += [values.minimum, values.maximum, values.median]
        return dict(zip((*COLUMNS, *EXTREMES), (*cells, self.unit), strict=True))
