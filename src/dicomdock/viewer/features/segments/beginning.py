"""What a new segmentation begins with."""

from __future__ import annotations

from collections.abc import Iterable

from dicomdock import rpc
from dicomdock.imaging.segmentation import Segment
from dicomdock.imaging.segmentation.mask import EMPTY
from dicomdock.imaging.terminology import Terminology, colour_for, next_name


def empty_segments(wanted: Iterable[rpc.WantedSegment], series: str) -> tuple[Segment, ...]:
    """Return the segments to draw on a series, empty yet; one of no structure where none is wanted.

    Parameters
    ----------
    wanted : of all series of the study.
    series : Series Instance UID.
    """
    found = [one for one in wanted if one.series == series] or [rpc.WantedSegment(series, next_name(()))]
    return tuple(_empty(one, number) for number, one in enumerate(found, 1))


def _empty(wanted: rpc.WantedSegment, number: int) -> Segment:
    entry = wanted.entry
    terminology = Terminology.from_slicer(entry) if entry else Terminology.suggest(wanted.label)
    return Segment(wanted.label, EMPTY, terminology, colour_for(terminology, number))
