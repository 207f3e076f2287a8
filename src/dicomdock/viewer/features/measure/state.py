"""What the page knows of measurements."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class MeasurementRow:
    """A measurement.

    Parameters
    ----------
    id : of its node; for a value of a report without coordinates, one of our own.
    name : as the user calls it.
    placed : it lies in the images.
    words : its values.
    shown : it is drawn.
    path : Tracking UID of a path, which images can be straightened along; empty for others.
    """

    id: str
    name: str
    placed: bool
    words: list[str]
    shown: bool
    path: str


@dataclass(frozen=True)
class ReportRow:
    """A report of the study: its Series Instance UID and name."""

    uid: str
    name: str


@dataclass
class MeasureState:
    """The measurements on the shown series.

    Parameters
    ----------
    measurements : what is measured.
    measuring : the kind whose points are being clicked; empty where none is.
    reports : the reports of the study.
    report_asked : the report that is opened once it is known what becomes of unsaved measurements.
    """

    measurements: list[MeasurementRow] = field(default_factory=list)
    measuring: str = ""
    reports: list[ReportRow] = field(default_factory=list)
    report_asked: str = ""
