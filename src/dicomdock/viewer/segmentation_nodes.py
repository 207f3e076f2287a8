"""Segmentations between the scene and DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from trame_slicer.segmentation import SegmentProperties

from dicomdock.imaging.segmentation import Mask, Segment, Segmentation
from dicomdock.imaging.terminology import Terminology, fractions
from dicomdock.viewer.scene import mask_of, set_segment


@dataclass(eq=False)
class SegmentationNode:
    """The segmentation that is open, as a node of the scene.

    Parameters
    ----------
    node : Slicer's node.
    base : what it was read from, or an empty one: grid, frame of reference, origin, name.
    series : Series Instance UID of the images.
    changes : counts what the user did.
    autosaved, saved : the count that was last autosaved, and stored in the archive.
    """

    node: Any
    base: Segmentation
    series: str
    changes: int = 0
    autosaved: int = 0
    saved: int = 0

    @property
    def unsaved(self) -> bool:
        """There is work that is not in the archive yet."""
        return self.changes > self.saved

    def read(self) -> Segmentation:
        """Read the scene; the array of each segment is a copy."""
        known = {segment.label: segment for segment in self.base.segments}
        segmentation = self.node.GetSegmentation()
        segments = []
        for at in range(segmentation.GetNumberOfSegments()):
            segment_id = segmentation.GetNthSegmentID(at)
            properties = SegmentProperties.from_segment(segmentation.GetSegment(segment_id))
            red, green, blue = (round(part * 255) for part in properties.color)
            terminology = (
                Terminology.from_slicer(properties.terminology_tag)
                if properties.terminology_tag
                else Terminology.suggest(properties.name)
            )
            mask = mask_of(self.node, segment_id, self.base.geometry)
            before = known.get(properties.name)
            made = Segment(properties.name, mask, terminology, (red, green, blue))
            if before is not None:
                made = replace(
                    before,
                    mask=mask,
                    terminology=terminology,
                    colour=(red, green, blue),
                    algorithm=before.algorithm if mask.same(before.mask) else "SEMIAUTOMATIC",
                    algorithm_name=before.algorithm_name or "dicomdock",
                )
            segments.append(made)
        return replace(self.base, segments=tuple(segments), remarks=())


def put_in_scene(editor: Any, segmentation: Segmentation, name: str) -> Any:
    """Make a node of a segmentation."""
    node = editor.create_empty_segmentation_node()
    node.SetName(name)
    for segment in segmentation.segments:
        segment_id = node.GetSegmentation().AddEmptySegment("", segment.label, fractions(segment.colour))
        made = node.GetSegmentation().GetSegment(segment_id)
        properties = SegmentProperties.from_segment(made)
        properties.terminology_tag = segment.terminology.to_slicer()
        properties.to_segment(made)
        set_segment(node, segment_id, segment.mask, segmentation.geometry)
    return node


def middle_of(masks: Sequence[Mask]) -> tuple[int, int, int]:
    """Return a voxel to look at: of the largest segment, on the slice that shows most of it."""
    largest = max(masks, key=lambda mask: mask.count)
    k = int(np.argmax(np.count_nonzero(largest.array, axis=(1, 2))))
    places = np.argwhere(largest.array[k])
    j, i = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))]
    return largest.start[0] + k, largest.start[1] + int(j), largest.start[2] + int(i)
