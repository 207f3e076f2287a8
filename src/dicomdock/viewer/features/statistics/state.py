"""What the page knows of the numbers of segments."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class StatisticsState:
    """The table of the numbers of segments.

    Parameters
    ----------
    statistics_titles : of the columns.
    statistics_rows : a row for each segment.
    statistics_remarks : what the user should know.
    statistics_stale : segments were changed since.
    statistics_busy : they are being computed.
    meshing : surfaces are being computed.
    """

    statistics_titles: list[str] = field(default_factory=list)
    statistics_rows: list[list[str]] = field(default_factory=list)
    statistics_remarks: list[str] = field(default_factory=list)
    statistics_stale: bool = False
    statistics_busy: bool = False
    meshing: bool = False
