"""Dose: RT Dose of the archive, and the dose-volume histograms of structures."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

from dicomdock.api import instances
from dicomdock.api.home import Home
from dicomdock.api.table import Cell, CsvTable
from dicomdock.dicom.resource import Resource
from dicomdock.imaging import dose as imaging
from dicomdock.imaging.dose import DoseHistogram
from dicomdock.imaging.dose.histogram import SHARES
from dicomdock.imaging.formats.csv_text import csv_of
from dicomdock.imaging.numbers import number_text
from dicomdock.imaging.segmentation import Segmentation

COLUMNS = ("structure", "dose", "dose_unit", "volume_ml", "volume_percent")
"""Of the table of histograms: the volume that receives at least a dose."""


@dataclass(frozen=True, eq=False)
class DoseHistograms(CsvTable):
    """The dose-volume histograms of structures.

    Parameters
    ----------
    structures : the histogram of each.
    unit : of the doses: ``Gy``, or ``relative``.
    remarks : what the user should know, one sentence each.
    """

    structures: tuple[DoseHistogram, ...]
    unit: str
    remarks: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Cell]]:
        """Return the numbers of each structure; None for one whose dose is not known."""
        return [self._row(one) for one in self.structures]

    def csv(self) -> str:
        """Return the cumulative histograms as CSV with a header line, a row for each structure and dose."""
        rows = (
            (one.label, f"{dose:.6g}", self.unit, f"{volume:.6g}", f"{volume / one.volume * 100:.6g}")
            for one in self.structures
            for dose, volume in zip(one.doses, one.volumes, strict=True)
        )
        return csv_of(COLUMNS, (dict(zip(COLUMNS, row, strict=True)) for row in rows))

    def _row(self, one: DoseHistogram) -> dict[str, Cell]:
        shares = one.at_least or (None,) * len(SHARES)
        return {
            "structure": one.label,
            "volume_ml": one.volume,
            "covered_ml": one.covered,
            "dose_unit": self.unit,
            "minimum": one.minimum,
            "mean": one.mean,
            "maximum": one.maximum,
            **{f"d{share}": value for share, value in zip(SHARES, shares, strict=True)},
        }


@dataclass(frozen=True, eq=False)
class Dose(imaging.Dose):
    """A dose grid of the archive: ``volume`` with ``units``, ``kind`` and ``summation``."""

    def histograms(self, structures: Segmentation, bin_width: float | None = None) -> DoseHistograms:
        """Compute the dose-volume histogram of each structure.

        A structure that the dose grid does not cover wholly has no numbers, and a remark names it.

        Parameters
        ----------
        structures : what ``Archive.segmentation`` reads of a structure set or segmentation.
        bin_width : of the histograms, in the unit of the dose; by default 0.1 Gy, or a hundredth of the
            greatest relative dose.

        Raises
        ------
        GeometryError
            Dose and structures have different frames of reference or state none, or the values are
            differences.
        InvalidInput
            The width of a bin is not positive, or too small.
        """
        found = tuple(imaging.histograms(self, structures, bin_width))
        remarks = [
            f"No dose of {one.label!r}: "
            + (
                f"{number_text(one.volume - one.covered)} of its {number_text(one.volume)} ml "
                "lie outside the dose grid."
                if one.volume
                else "it has no voxels."
            )
            for one in found
            if one.mean is None
        ]
        unit = "Gy" if self.units == "GY" else "relative"
        return DoseHistograms(found, unit, (*structures.remarks, *self.remarks, *remarks))

    @classmethod
    def of(cls, found: imaging.Dose) -> Self:
        """Make one of what imaging reads."""
        return cls(**{one.name: getattr(found, one.name) for one in fields(imaging.Dose)})


def read(archive: Home, resource: Resource) -> Dose:
    """Read an RT Dose of the archive."""
    return Dose.of(imaging.read_dose(instances.read_single(archive, resource)))
