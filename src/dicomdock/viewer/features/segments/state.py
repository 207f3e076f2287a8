"""What the page knows of segmentations."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicomdock.imaging.terminology.structures import STRUCTURES

HISTOGRAM = (128, 32)
"""Width and height of the drawing of a histogram; a unit of its width for each bar."""


@dataclass(frozen=True)
class SegmentationRow:
    """A segmentation or structure set that can be opened.

    Parameters
    ----------
    uid : Series Instance UID.
    name, kind : as in ``study.Series``.
    """

    uid: str
    name: str
    kind: str


@dataclass
class SegmentsState:
    """The segmentation on the shown series.

    Parameters
    ----------
    drawings : those of the study that belong to the shown series.
    drawing_name, drawing_uid : of the one that is open; no UID where it is new.
    unsaved : it has changes that are not in the archive.
    structures : names that segments can be given.
    margin_mm : by which a segment is to grow.
    busy : what is being computed; empty where nothing is.
    coded : the structure that the active segment is coded as; empty where its name has no codes.
    histogram : of the shown volume's values, from the least to the greatest, as the path of an SVG.
    grey : the shown images have values, which some tools work with; colours are none.
    fillable : the shown series has images between others, which can be filled from these.
    unit : of sizes on the shown images: ``mm``, or ``px`` where their pixels are not calibrated.
    """

    drawings: list[SegmentationRow] = field(default_factory=list)
    drawing_name: str = ""
    drawing_uid: str = ""
    unsaved: bool = False
    structures: list[str] = field(default_factory=lambda: [row[1] for row in STRUCTURES])
    margin_mm: float = 3
    busy: str = ""
    coded: str = ""
    histogram: str = ""
    grey: bool = True
    fillable: bool = True
    unit: str = "mm"
