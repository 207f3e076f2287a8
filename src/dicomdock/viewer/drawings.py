"""Segmentations between the scene, DICOM and the folder that keeps unsaved work."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from trame_slicer.segmentation import SegmentProperties

from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Mask, Origin, Segment, Segmentation
from dicomdock.imaging.terminology import Terminology
from dicomdock.settings import Settings
from dicomdock.viewer.scene import mask_of, set_segment

FORMAT = 1  # of the kept files; another one is left alone


@dataclass(eq=False)
class Drawing:
    """A segmentation that is being worked on.

    Parameters
    ----------
    node : Slicer's node.
    base : what it was read from, or an empty one: grid, frame of reference, origin, name.
    series : Series Instance UID of the images.
    changes : counts what the user did.
    kept, saved : the count that the folder of unsaved work, and the archive, have seen.
    """

    node: Any
    base: Segmentation
    series: str
    changes: int = 0
    kept: int = 0
    saved: int = 0

    @property
    def unsaved(self) -> bool:
        """There is work that is not in the archive yet."""
        return self.changes > self.saved

    def value(self) -> Segmentation:
        """Read the scene; the array of each segment is a copy."""
        known = {segment.label: segment for segment in self.base.segments}
        segmentation = self.node.GetSegmentation()
        segments = []
        for at in range(segmentation.GetNumberOfSegments()):
            segment_id = segmentation.GetNthSegmentID(at)
            said = SegmentProperties.from_segment(segmentation.GetSegment(segment_id))
            red, green, blue = (round(part * 255) for part in said.color)
            terminology = (
                Terminology.from_slicer(said.terminology_tag)
                if said.terminology_tag
                else Terminology.suggest(said.name)
            )
            mask = mask_of(self.node, segment_id, self.base.geometry)
            before = known.get(said.name)
            made = Segment(said.name, mask, terminology, (red, green, blue))
            if before is not None:
                made = replace(
                    before,
                    mask=mask,
                    terminology=terminology,
                    colour=(red, green, blue),
                    algorithm="SEMIAUTOMATIC",
                    algorithm_name=before.algorithm_name or "dicomdock",
                )
            segments.append(made)
        return replace(self.base, segments=tuple(segments), remarks=())


def put_in_scene(editor: Any, segmentation: Segmentation, name: str) -> Any:
    """Make a node of a segmentation."""
    node = editor.create_empty_segmentation_node()
    node.SetName(name)
    for segment in segmentation.segments:
        colour = [part / 255 for part in segment.colour]
        segment_id = node.GetSegmentation().AddEmptySegment("", segment.label, colour)
        made = node.GetSegmentation().GetSegment(segment_id)
        said = SegmentProperties.from_segment(made)
        said.terminology_tag = segment.terminology.to_slicer()
        said.to_segment(made)
        set_segment(node, segment_id, segment.mask, segmentation.geometry)
    return node


def middle_of(masks: Sequence[Mask]) -> tuple[int, int, int]:
    """Give a voxel to look at: of the largest segment, on the slice that shows most of it."""
    largest = max(masks, key=lambda mask: mask.count)
    k = int(np.argmax(np.count_nonzero(largest.array, axis=(1, 2))))
    places = np.argwhere(largest.array[k])
    j, i = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))]
    return largest.start[0] + k, largest.start[1] + int(j), largest.start[2] + int(i)


class Shelf:
    """The folder that keeps unsaved work of one study, one file a series; survives a killed viewer.

    Parameters
    ----------
    settings : tells the state folder.
    study : Study Instance UID.
    """

    def __init__(self, settings: Settings, study: str) -> None:
        self.folder = settings.state / "unsaved" / _digest(study)

    def keep(self, series: str, segmentation: Segmentation) -> None:
        """Keep a segmentation, in place of what was kept of the series; whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(series)
        written = path.with_suffix(".new")
        with written.open("wb") as file:
            file.write(_pack(segmentation))
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)

    def take(self, series: str) -> Segmentation | None:
        """Give what was kept of a series; None where nothing was, or it cannot be read."""
        try:
            return _unpack(self._path(series).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, zlib.error):
            return None

    def drop(self, series: str) -> None:
        """Forget what was kept of a series: it is in the archive now."""
        self._path(series).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _path(self, series: str) -> Path:
        return self.folder / f"{_digest(series)}.seg"


def _digest(uid: str) -> str:
    # A UID never becomes part of a path.
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


def _pack(segmentation: Segmentation) -> bytes:
    boxes = [np.packbits(one.mask.array.reshape(-1)).tobytes() for one in segmentation.segments]
    head = {
        "format": FORMAT,
        "shape": segmentation.geometry.shape,
        "affine": segmentation.geometry.affine.tolist(),
        "frame_of_reference": segmentation.frame_of_reference,
        "source_series": segmentation.source_series,
        "source_frames": segmentation.source_frames,
        "name": segmentation.name,
        "origin": asdict(segmentation.origin) if segmentation.origin else None,
        "segments": [
            {
                "label": one.label,
                "start": one.mask.start,
                "size": one.mask.array.shape,
                "bytes": len(box),
                "terminology": one.terminology.to_slicer(),
                "colour": one.colour,
                "description": one.description,
                "tracking_id": one.tracking_id,
                "tracking_uid": one.tracking_uid,
            }
            for one, box in zip(segmentation.segments, boxes, strict=True)
        ],
    }
    said = json.dumps(head).encode()
    return zlib.compress(len(said).to_bytes(8, "big") + said + b"".join(boxes), 1)


def _unpack(packed: bytes) -> Segmentation:
    data = io.BytesIO(zlib.decompress(packed))
    head = json.loads(data.read(int.from_bytes(data.read(8), "big")))
    if head["format"] != FORMAT:
        raise ValueError(head["format"])
    segments = []
    for one in head["segments"]:
        count = int(np.prod(one["size"]))
        bits = np.unpackbits(np.frombuffer(data.read(one["bytes"]), np.uint8), count=count)
        mask = Mask(tuple(one["start"]), bits.astype(bool).reshape(one["size"]))
        segments.append(
            Segment(
                one["label"],
                mask,
                Terminology.from_slicer(one["terminology"]),
                tuple(one["colour"]),
                description=one["description"],
                tracking_id=one["tracking_id"],
                tracking_uid=one["tracking_uid"],
            )
        )
    return Segmentation(
        VolumeGeometry(tuple(head["shape"]), head["affine"]),
        tuple(segments),
        head["frame_of_reference"],
        head["source_series"],
        tuple((uid, frame) for uid, frame in head["source_frames"]),
        Origin(**head["origin"]) if head["origin"] else None,
        head["name"],
    )
