"""What the page knows of the volumes of a series: how they are played, and values over them."""

from __future__ import annotations

from dataclasses import dataclass, field

USUAL_RATE = 4.0  # volumes a second


@dataclass(frozen=True)
class ValueCurve:
    """A line of the plot.

    Parameters
    ----------
    name : of the region.
    colour : in CSS.
    points : of an SVG polyline.
    """

    name: str
    colour: str
    points: str


@dataclass
class TimePointsState:
    """The volumes of the shown series.

    Parameters
    ----------
    volumes_playing : they are shown one after the other.
    volumes_rate : at most so many a second.
    curves_busy : values over them are being computed.
    curves : lines of the plot.
    curves_first, curves_last : what stands at the ends of its axis.
    curves_low, curves_high : values at its lower and upper edge.
    curves_remarks : what the user should know.
    """

    volumes_playing: bool = False
    volumes_rate: float = USUAL_RATE
    curves_busy: bool = False
    curves: list[ValueCurve] = field(default_factory=list)
    curves_first: str = ""
    curves_last: str = ""
    curves_low: str = ""
    curves_high: str = ""
    curves_remarks: list[str] = field(default_factory=list)
