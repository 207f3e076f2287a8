"""Values over volumes as lines of a plot."""

from __future__ import annotations

from collections.abc import Mapping

from dicomdock.api.multivolume import Curves
from dicomdock.imaging.terminology import RGB
from dicomdock.viewer.features.timepoints.state import ValueCurve

WIDTH, HEIGHT = 240.0, 110.0
"""Of the plot, in the units of its own picture."""

PLAIN: RGB = (255, 217, 89)


def lines(found: Curves, colours: Mapping[str, RGB]) -> tuple[float, float, list[ValueCurve]]:
    """Return the values at the lower and upper edge of the plot, and a line of means for each region.

    The axis is that of the volumes; where they state the same value (directions of a b-value) points stand
    above each other.
    """
    means = [one.values.mean for one in found.samples if one.values is not None]
    low, high = min(means, default=0.0), max(means, default=1.0)
    first, last = found.axis.values[0], found.axis.values[-1]
    made = []
    for name in dict.fromkeys(one.label for one in found.samples):
        points = [
            (
                (found.axis.values[one.at] - first) / ((last - first) or 1.0) * WIDTH,
                HEIGHT * (1 - (one.values.mean - low) / ((high - low) or 1.0)),
            )
            for one in found.samples
            if one.label == name and one.values is not None
        ]
        colour = "rgb({}, {}, {})".format(*colours.get(name, PLAIN))
        made.append(ValueCurve(name, colour, " ".join(f"{x:.1f},{y:.1f}" for x, y in points)))
    return low, high, made
