"""Targets: diameters of lesions over the studies of a patient, from measurement reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dicomdock.api.home import Home
from dicomdock.api.instances import found_in, paths_of, read
from dicomdock.api.table import Cell, CsvTable
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.imaging import attributes
from dicomdock.imaging.formats.csv_text import csv_of
from dicomdock.imaging.measurements import read_report
from dicomdock.imaging.measurements.targets import Targets, TimePoint, diameter_of, targets_of

RESPONSE = "response of targets"


@dataclass(frozen=True)
class TargetTable(CsvTable):
    """Lesions over time points.

    Parameters
    ----------
    targets : diameters in mm.
    """

    targets: Targets

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is missing, one sentence each."""
        return self.targets.remarks

    def rows(self) -> list[dict[str, Cell]]:
        """Return a row for each lesion, then the sums, their changes in percent and the response.

        None where nothing was measured.
        """
        found = self.targets
        if not found.lesions:
            return []
        rows: list[tuple[str, Sequence[Cell]]] = [(one.label, one.diameters) for one in found.lesions]
        rows += [
            ("sum of diameters", found.sums),
            ("percent from baseline", found.from_baseline),
            ("percent from nadir", found.from_nadir),
            (RESPONSE, found.responses),
        ]
        return [{"target": label, **dict(zip(self.columns, cells, strict=True))} for label, cells in rows]

    @property
    def columns(self) -> list[str]:
        """Names of the time points: dates, numbered where several studies have the same."""
        dates = self.targets.dates
        return [
            f"{date or 'no date'}" if dates.count(date) == 1 else f"{date or 'no date'} ({at + 1})"
            for at, date in enumerate(dates)
        ]

    def csv(self) -> str:
        """Return the table as CSV with a header line; an absent number is an empty field."""
        return csv_of(("target", *self.columns), self.rows())


def measured(archive: Home, studies: Sequence[Resource], only: Sequence[str] = ()) -> TargetTable:
    """Read the diameters of the measurement reports of some studies; see ``Archive.targets``."""
    points, patients = [], set()
    wanted = {one.casefold() for one in only}
    for study in studies:
        date, reports = "", []
        for one in found_in(archive, study, Modality="SR"):
            for path in paths_of(archive, one):
                dataset = read(path)
                patients.add(attributes.text(dataset, "PatientID"))
                date = attributes.text(dataset, "StudyDate") or date
                when = f"{attributes.text(dataset, 'ContentDate')}{attributes.text(dataset, 'ContentTime')}"
                reports.append((when, one.instance or "", read_report(dataset)))
        newest = [report for _, _, report in sorted(reports, key=lambda one: one[:2], reverse=True)]
        found = [one for report in newest for one in report.measurements if diameter_of(one) is not None]
        if found:  # a study with other reports alone is not a time point
            chosen = tuple(one for one in found if not wanted or one.label.casefold() in wanted)
            points.append(TimePoint(study.study, date, chosen))
    if len(patients) > 1:
        raise InvalidInput("The studies are of several patients; name those of one.")
    return TargetTable(targets_of(points))
