"""Dose-volume histograms as the page shows them: a table, and curves in a plot."""

from __future__ import annotations

import numpy as np

from dicomdock.api.dose import DoseHistograms
from dicomdock.imaging.numbers import cell_text
from dicomdock.imaging.terminology import RGB
from dicomdock.viewer.features.dose.state import DoseCurve

WIDTH, HEIGHT = 240.0, 130.0
"""Of the plot, in the units of its own picture."""
MOST_POINTS = 160
SHOWN = (
    ("structure", "Structure"),
    ("volume_ml", "ml"),
    ("minimum", "Min"),
    ("mean", "Mean"),
    ("maximum", "Max"),
    ("d98", "D98"),
    ("d95", "D95"),
    ("d50", "D50"),
    ("d2", "D2"),
)


def table(found: DoseHistograms) -> tuple[list[str], list[list[str]]]:
    """Return titles and rows of the table; doses stand in the unit that the title of the mean names."""
    titles = [f"{title} ({found.unit})" if name == "mean" else title for name, title in SHOWN]
    return titles, [[cell_text(row[name]) for name, _ in SHOWN] for row in found.rows()]


def curves(found: DoseHistograms, colours: list[RGB]) -> tuple[float, list[DoseCurve]]:
    """Return the dose at the right end of the plot, and a curve for each structure that has a histogram."""
    most = max((one.doses[-1] for one in found.structures if one.doses), default=1.0) or 1.0
    made = []
    for one, colour in zip(found.structures, colours, strict=True):
        if not one.doses or not one.volume:
            continue
        doses, volumes = np.array(one.doses), np.array(one.volumes)
        at = np.linspace(0, doses[-1], min(len(doses), MOST_POINTS))
        x, y = at / most * WIDTH, HEIGHT * (1 - np.interp(at, doses, volumes) / one.volume)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        made.append(DoseCurve(one.label, "rgb({}, {}, {})".format(*colour), points))
    return most, made
