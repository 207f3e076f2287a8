"""What the page knows of the dose over its plan's images."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DoseRow:
    """A dose grid, or structures: the UID that chooses it, and its name."""

    uid: str
    name: str


@dataclass(frozen=True)
class IsodoseLevel:
    """An isodose line: the dose as text with its unit, and its colour as the page writes it."""

    text: str
    colour: str


@dataclass(frozen=True)
class DoseCurve:
    """A cumulative histogram: of what, in which colour, and its points in the plot."""

    name: str
    colour: str
    points: str


@dataclass
class DoseState:
    """The dose over the shown images.

    Parameters
    ----------
    doses, dose_structures : what the study has of them.
    dose_uid : the dose that is shown; empty where none is.
    dose_lines : its isodose lines are drawn.
    dose_levels : the lines, the highest dose first; ``dose_typed`` are their doses as the user types them.
    dose_unit : of the doses.
    dose_words : why a dose is not shown; empty where there is nothing to say.
    dvh_uid : the structures whose histograms are shown; ``dvh_busy`` while they are computed.
    dvh_titles, dvh_rows : their table.
    dvh_curves : their cumulative histograms.
    dvh_most : the dose at the right end of the plot.
    dvh_remarks : what the user should know of them.
    """

    doses: list[DoseRow] = field(default_factory=list)
    dose_structures: list[DoseRow] = field(default_factory=list)
    dose_uid: str = ""
    dose_lines: bool = True
    dose_levels: list[IsodoseLevel] = field(default_factory=list)
    dose_typed: str = ""
    dose_unit: str = ""
    dose_words: str = ""
    dvh_uid: str = ""
    dvh_busy: bool = False
    dvh_titles: list[str] = field(default_factory=list)
    dvh_rows: list[list[str]] = field(default_factory=list)
    dvh_curves: list[DoseCurve] = field(default_factory=list)
    dvh_most: str = ""
    dvh_remarks: list[str] = field(default_factory=list)
