"""Statistics: the numbers of the segments of a segmentation, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from dicomdock.api.home import Home
from dicomdock.api.instances import headers_of, paths_of, read_single
from dicomdock.api.table import Cell, CsvTable, write_new
from dicomdock.api.volume import fill, plan_named
from dicomdock.cohort.table import arrow, parquet_of
from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.attributes import text
from dicomdock.imaging.authoring import MOST_LETTERS
from dicomdock.imaging.formats.csv_text import csv_of
from dicomdock.imaging.geometry import VolumePlan, split_series
from dicomdock.imaging.measurements import Calibration, Report, calibrations_of, report_to_dicom
from dicomdock.imaging.segmentation import Segmentation, is_segmentation, segment_items
from dicomdock.imaging.statistics import (
    BODIES,
    PERCENTILES,
    SegmentStatistics,
    measurements_of,
    place,
    segment_statistics,
    to_suv,
)
from dicomdock.imaging.volume import Volume, outline

COLUMNS = (
    *("segment", "label", "voxels", "volume_ml", "surface_mm2", "diameter_mm", "slice_diameter_mm"),
    *("quantity", "unit", "values", "mean", "standard_deviation", "minimum", "maximum", "median"),
    *(f"percentile_{share}" for share in PERCENTILES),
    *("suv_peak", "metabolic_volume_ml", "total_lesion_glycolysis_g"),
    *("area_mm2", "image", "instance", "frame"),
)
"""Names of the numbers of a segment, with their units; those of grey values are in ``unit``."""
COUNTS = ("segment", "voxels", "values", "image", "frame")
TEXTS = ("label", "quantity", "unit", "instance")


@dataclass(frozen=True, eq=False)
class Statistics(CsvTable):
    """The numbers of segments over a volume.

    Parameters
    ----------
    segments : the numbers of each.
    images : the series that they were measured on.
    remarks : what the user should know, one sentence each.
    """

    segments: tuple[SegmentStatistics, ...]
    images: Resource
    remarks: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Cell]]:
        """Return a row for each segment, by the names of ``COLUMNS``; None for a number that there is not.

        On images without a position in the patient it is a row for each image that a segment is drawn on.
        """
        return [_row(one) for one in self.segments]

    def csv(self) -> str:
        """Return the table as CSV with a header line; an absent number is an empty field."""
        return csv_of(COLUMNS, self.rows())

    def to_parquet(self, path: Path | str) -> None:
        """Write the table as Parquet; an absent number is null.

        Raises
        ------
        InvalidInput
            There is a file of that name.
        MissingDependency
            pyarrow is not installed.
        """
        write_new(path, self.parquet())

    def parquet(self) -> bytes:
        """Return the table as Parquet.

        Raises
        ------
        MissingDependency
            pyarrow is not installed.
        """
        pyarrow = arrow()
        kinds = {**dict.fromkeys(COUNTS, pyarrow.int64()), **dict.fromkeys(TEXTS, pyarrow.string())}
        schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in COLUMNS])
        return parquet_of(pyarrow.Table.from_pylist(self.rows(), schema=schema))


def measure(
    segmentation: Segmentation, archive: Home, images: Resource, name: str | None, suv_type: str = ""
) -> Statistics:
    """Measure the segments over a series of the archive.

    Parameters
    ----------
    name : of the volume; None for the only one that the segmentation can lie on.
    suv_type : SUV Type (0054,1006) of PET; empty for that of the images, else body weight.

    Raises
    ------
    NotInArchive
        The images are not in the archive.
    GeometryError
        The series holds no volume to measure on, or several and none was named.
    """
    paths = paths_of(archive, images)
    headers = headers_of(paths)
    plans = split_series(headers)
    plan = plan_named(plans, images, _chosen(segmentation, plans, images, name))
    return measure_over(segmentation, fill(plan, paths, headers), images, headers, suv_type)


def measure_over(
    segmentation: Segmentation,
    volume: Volume,
    images: Resource,
    headers: Sequence[Dataset],
    suv_type: str = "",
) -> Statistics:
    """Measure the segments over a volume.

    Parameters
    ----------
    images : the series that the volume is of.
    headers : of its instances; used for PET, and for what pixels of images without a position measure.
    suv_type : SUV Type (0054,1006) of PET; empty for that of the images, else body weight.

    Raises
    ------
    GeometryError
        The volume has another frame of reference, or is not of the segmentation's images.
    """
    if suv_type and suv_type not in BODIES:
        raise InvalidInput(f"SUV Type is one of {', '.join(BODIES)}, not {suv_type!r}.")
    remarks = []
    measured = volume
    if volume.modality == "PT":
        try:
            measured = to_suv(volume, headers, suv_type)
        except GeometryError as error:
            remarks.append(error.reason)
    placed = place(segmentation, volume)
    calibrations, problems = ({}, []) if volume.spatial else _calibrations(headers)
    remarks += problems
    segments = tuple(segment_statistics(segmentation, measured, placed, calibrations))
    if volume.colour:
        remarks.append("The images are in colour, so segments have no mean or other value.")
    elif placed is segmentation:
        for one in segments:
            left = one.shape.voxels - (one.values.count if one.values else 0)
            if left:
                remarks.append(f"{left} of {one.shape.voxels} voxels of {one.label!r} have no value.")
    return Statistics(segments, images, (*placed.remarks, *volume.remarks, *remarks))


def _calibrations(headers: Sequence[Dataset]) -> tuple[dict[str, tuple[Calibration, ...]], list[str]]:
    """Return what pixels of each instance measure, and sentences that say by what, or why nothing."""
    found, remarks = {}, []
    for header in headers:
        try:
            stated = calibrations_of(header)
        except GeometryError as error:
            remarks.append(error.reason)
            continue
        found[text(header, "SOPInstanceUID")] = stated
        remarks += [f"In {one.unit} {one.words}." for one in stated]
    return found, list(dict.fromkeys(remarks))


def save(archive: Home, statistics: Statistics, segmentation: Resource) -> Resource:
    """Store the numbers as a measurement report; see ``Archive.save_statistics``."""
    drawn = read_single(archive, segmentation)

    def make() -> list[Dataset]:
        return [report_of(statistics, drawn, headers_of(paths_of(archive, statistics.images)))]

    return archive.save_once(statistics, make, str(segmentation))


def report_of(
    statistics: Statistics, drawn: Dataset, images: Sequence[Dataset], *, creator: str = ""
) -> Dataset:
    """Return the numbers as a measurement report.

    Parameters
    ----------
    drawn : the DICOM Segmentation that was measured, with or without pixels.
    images : the instances that it was measured on, likewise.
    creator : who measured, as a DICOM person name; empty for not stated.

    Raises
    ------
    InvalidInput
        It holds other segments than those that were measured.
    GeometryError
        It is a structure set, or the images are of another study.
    """
    segments = [item for _, item in segment_items(drawn)]
    if not is_segmentation(drawn):
        raise GeometryError(
            "A report of numbers refers to the segments of a DICOM Segmentation, which a structure set"
            " does not have; save the segments as one first.",
            [text(drawn, "SOPInstanceUID")],
        )
    measured = {one.number: one.label for one in statistics.segments}
    if [text(one, "SegmentLabel") for one in segments] != list(measured.values()):
        raise InvalidInput("The segmentation does not hold the segments that were measured.")
    measurements = measurements_of(statistics.segments, dict(enumerate(segments, 1)), drawn)
    name = text(drawn, "SeriesDescription") or "segments"
    described = f"Numbers of {name}"[:MOST_LETTERS]
    report = Report(tuple(measurements), series_description=described, creator=creator)
    return report_to_dicom(report, [*images, drawn])


def _chosen(
    segmentation: Segmentation, plans: Sequence[VolumePlan], images: Resource, name: str | None
) -> str:
    """Return the name of the volume to measure on: that which was asked for, else the only one that fits."""
    if name is not None:
        return name
    grids = [(outline(plan), plan) for plan in plans]
    if not segmentation.spatial:
        drawn = [plan for grid, plan in grids if segmentation.lies_on(grid)]
        if not drawn:
            raise GeometryError(f"{images} does not hold the images that the segments were drawn on.")
        return drawn[0].label
    spatial = [(grid, plan) for grid, plan in grids if plan.problem is None and grid.spatial]
    if not spatial:
        raise GeometryError(f"{images} holds no volume with a position in the patient.")
    fitting = [plan for grid, plan in spatial if segmentation.fits(grid.geometry)]
    fitting = fitting or [plan for _, plan in spatial]
    if len(fitting) > 1:
        names = ", ".join(repr(plan.label) for plan in fitting)
        raise GeometryError(
            f"{images} holds {len(fitting)} volumes that the segments may lie on: {names}; name one."
        )
    return fitting[0].label


def _row(one: SegmentStatistics) -> dict[str, Cell]:
    shape, values = one.shape, one.values
    cells: list[Cell] = [one.number, one.label, shape.voxels, shape.volume, shape.surface]
    cells += [shape.diameter, shape.slice_diameter, one.quantity.meaning, one.unit.value]
    if values is None:
        cells += [0, *[None] * (5 + len(PERCENTILES))]
    else:
        cells += [values.count, values.mean, values.deviation, values.minimum, values.maximum, values.median]
        cells += values.percentiles
    cells += [one.peak, one.metabolic_volume, one.glycolysis, shape.area]
    cells += [None if one.slice is None else one.slice + 1, *(one.image or (None, None))]
    return dict(zip(COLUMNS, cells, strict=True))
