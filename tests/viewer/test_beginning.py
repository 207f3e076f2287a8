"""What a new segmentation begins with: the segments of a task, or one of no structure."""

from __future__ import annotations

from dicomdock import rpc
from dicomdock.imaging.terminology import Code, Terminology
from dicomdock.viewer.features.segments.beginning import empty_segments

LESION = Terminology(kind=Code("52988006", "SCT", "Lesion"))
WANTED = (
    rpc.WantedSegment("1.2.1", "liver"),
    rpc.WantedSegment("1.2.1", "ball", LESION.to_slicer()),
    rpc.WantedSegment("1.2.2", "spleen"),
)


def test_the_segments_of_the_series_that_is_shown_have_their_names_and_codes() -> None:
    liver, ball = empty_segments(WANTED, "1.2.1")
    assert (liver.label, liver.terminology.kind.value) == ("liver", "10200004")
    assert (ball.label, ball.terminology.kind) == ("ball", LESION.kind)
    assert not liver.mask.array.size and liver.colour != ball.colour
    assert [one.label for one in empty_segments(WANTED, "1.2.2")] == ["spleen"]


def test_without_a_task_there_is_one_segment_of_no_structure() -> None:
    (only,) = empty_segments(WANTED, "1.2.3")
    assert (only.label, only.terminology) == ("Segment 1", Terminology())
