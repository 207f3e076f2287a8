"""The numbers of what is drawn on the shown series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.measurements import (
    Measurement,
    calibration_at,
    calibrations_of,
    in_pixels,
    shape_at,
)
from dicomdock.imaging.measurements.measurement import MILLIMETRE, PIXEL, SQUARE_MILLIMETRE, SQUARE_PIXEL
from dicomdock.viewer.features.measure.kinds import ANGLES, measured, on_pixels
from dicomdock.viewer.features.measure.nodes import Drawn
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.scene import LPS
from dicomdock.viewer.study import read_instance

SIZES = (MILLIMETRE, SQUARE_MILLIMETRE, PIXEL, SQUARE_PIXEL)
"""Units that depend on what a pixel measures."""


@dataclass(frozen=True)
class _Numbers:
    """What was measured of a drawn thing.

    Parameters
    ----------
    points, volume : what it was measured by.
    final : all voxels were there.
    measurement : without values where it cannot be measured.
    problem : why it cannot.
    scale : by what its pixels measure, where that is not by their position.
    """

    points: tuple[Any, ...]
    volume: Any
    final: bool
    measurement: Measurement
    problem: str = ""
    scale: str = ""


class Numbers:
    """Measures what is drawn, and again only what has changed.

    Measuring everything at each move of the mouse takes so long that a region that is drawn loses most of its
    points.
    """

    def __init__(self, series: SeriesLogic, saving: SavingLogic) -> None:
        self._series, self._saving = series, saving
        self._found: dict[str, _Numbers] = {}
        self._headers: dict[str, Dataset] = {}  # by SOP Instance UID

    def measure(self, drawn: Drawn) -> Measurement:
        """Measure a drawn thing whose points are all there; without values where it cannot be measured."""
        points = tuple(tuple(map(float, point)) for point in drawn.points())
        volume = self._series.volume
        found = self._found.get(drawn.id)
        if found is None or found.points != points or found.volume is not volume or not found.final:
            final = self._series.state.data.complete
            try:
                measurement, scale = self._measure(drawn)
                found = _Numbers(points, volume, final, measurement, scale=scale)
            except GeometryError as error:
                found = _Numbers(points, volume, final, Measurement(drawn.name), problem=str(error))
            self._found[drawn.id] = found
        return replace(found.measurement, label=drawn.name)

    def words(self, node_id: str, one: Measurement) -> list[str]:
        """Return what is known of a measurement: numbers, or why there are none, and what was judged."""
        found = self._found.get(node_id)
        if one.values:
            lines = [value.words for value in one.values]
            if found is not None and found.scale and any(value.unit in SIZES for value in one.values):
                lines.append(found.scale)
        else:
            lines = [found.problem if found is not None else ""]
        if one.finding is not None and one.finding.meaning != one.label:
            lines.append(f"Finding: {one.finding.meaning}")
        if one.site is not None:
            lines.append(f"Site: {one.site.meaning}")
        return [*lines, *(judged.words for judged in one.evaluations)]

    def forget(self, node_id: str) -> None:
        """Forget what was measured of a drawn thing that is gone."""
        self._found.pop(node_id, None)

    def forget_all(self) -> None:
        """Forget what was measured of all that is drawn."""
        self._found.clear()

    def _measure(self, drawn: Drawn) -> tuple[Measurement, str]:
        """Measure a drawn thing, and say by what its pixels measure.

        Raises
        ------
        GeometryError
            Its points have no numbers.
        """
        volume = self._series.volume
        points = [point * LPS for point in drawn.line()]
        image = self._image(points)
        if volume.spatial:
            return measured(drawn.kind, drawn.name, points, volume, image), ""
        if image is None:
            raise GeometryError("The points do not lie on one image.")
        at = volume.geometry.to_index(points)[:, :0:-1]  # column, row
        header = self._header(image[0])
        shape_alone = drawn.kind in ANGLES
        one = shape_at(header, at) if shape_alone else calibration_at(calibrations_of(header), at)
        grid = VolumeGeometry.of_stack(volume.geometry.shape, one.rows, one.columns)
        scaled = replace(volume, geometry=grid)
        found = measured(drawn.kind, drawn.name, scaled.geometry.to_lps(_indices(at)), scaled, image)
        found = on_pixels(found if one.unit == "mm" else in_pixels(found), scaled.geometry)
        return found, f"In {one.unit} {one.words}"

    def _header(self, instance: str) -> Dataset:
        """Return the header of an image; empty where it is not here any more."""
        if instance not in self._headers:
            assert self._series.study is not None and self._series.series is not None
            place = Resource(self._series.study.uid, self._series.series.uid, instance)
            archive = self._saving.archive
            headers = [read_instance(archive, one, pixels=False) for one in archive.instances(place)]
            self._headers[instance] = headers[0] if headers else Dataset()
        return self._headers[instance]

    def _image(self, points: list[Any]) -> tuple[str, int] | None:
        """Name the image that all points lie on; None where there is none."""
        volume = self._series.volume
        at = volume.geometry.to_index(points)[:, 0]
        k = int(np.round(at.mean()))
        if np.abs(at - k).max() > 0.5 or not 0 <= k < len(volume.sources):
            return None
        found: tuple[str, int] | None = volume.sources[k]
        return found


def _indices(at: Any) -> Any:
    """Return columns and rows as indices k, j, i of the first slice."""
    return np.column_stack([np.zeros(len(at)), at[:, 1], at[:, 0]])
