"""RT Dose: dose grids with their units, and dose-volume histograms of structures."""

from __future__ import annotations

from dicomdock.imaging.dose.histogram import DoseHistogram, histogram, histograms
from dicomdock.imaging.dose.reading import Dose, is_dose, read_dose

__all__ = ["Dose", "DoseHistogram", "histogram", "histograms", "is_dose", "read_dose"]
