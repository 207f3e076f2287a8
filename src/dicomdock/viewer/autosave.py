"""Autosave: segments and measurements that are not in the archive yet, on disk."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dicomdock.config.home import make_folders, private
from dicomdock.config.settings import Settings
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Mask, Origin, Segment, Segmentation
from dicomdock.imaging.terminology import Terminology

FORMAT = 1  # of the files; those of another one are ignored
AUTOSAVE_SECONDS = 4.0  # between two autosaves; well below the ten that may be lost


@dataclass(frozen=True)
class PlacedMeasurement:
    """A measurement and where it lies in the scene.

    Parameters
    ----------
    kind : ``distance``, ``angle``, ``region`` or another of the viewer.
    name : as the user calls it.
    points : in mm, right-anterior-superior.
    tracking_uid : identifies it in reports; empty in what earlier versions kept.
    text_at : where its text was put, in mm, right-anterior-superior; empty where it stands beside its points.
    """

    kind: str
    name: str
    points: tuple[tuple[float, ...], ...]
    tracking_uid: str = ""
    text_at: tuple[float, ...] = ()


class UnsavedWork:
    """The folder of the unsaved work of one study, a file for each series and grid; it outlives the viewer.

    Parameters
    ----------
    settings : names the state folder.
    study : Study Instance UID.
    """

    def __init__(self, settings: Settings, study: str) -> None:
        self.folder = settings.state / "unsaved" / _digest(study)

    def write_segmentation(self, series: str, segmentation: Segmentation) -> None:
        """Write the segmentation of a series, in place of the one before on this grid, atomically."""
        self._write(self._segmentation_path(series, segmentation), _pack(segmentation))
        self._remove_earlier(series, segmentation)

    def read_segmentations(self, series: str) -> list[Segmentation]:
        """Return the segmentations of a series, one for each grid that was drawn on; the newest first.

        Those that cannot be read are left out.
        """
        found = [one for path in self._segmentation_paths(series) if (one := _read(path)) is not None]
        return list({_grid_digest(one): one for one in reversed(found)}.values())[::-1]

    def remove_segmentation(self, series: str, segmentation: Segmentation) -> None:
        """Remove the segmentation of a series on the grid of another."""
        self._segmentation_path(series, segmentation).unlink(missing_ok=True)
        self._remove_earlier(series, segmentation)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def write_measurements(self, series: str, measurements: Sequence[PlacedMeasurement]) -> None:
        """Write the measurements on a series, in place of those before; an empty list removes them."""
        path = self._measurements_path(series)
        if measurements:
            self._write(path, json.dumps([asdict(one) for one in measurements]).encode())
            return
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def read_measurements(self, series: str) -> list[PlacedMeasurement]:
        """Return the measurements on a series; none where they cannot be read."""
        try:
            rows = json.loads(self._measurements_path(series).read_bytes())
            return [
                PlacedMeasurement(
                    row["kind"],
                    row["name"],
                    tuple(tuple(map(float, point)) for point in row["points"]),
                    str(row.get("tracking_uid", "")),
                    tuple(map(float, row.get("text_at", ()))),
                )
                for row in rows
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _write(self, path: Path, data: bytes) -> None:
        make_folders(self.folder)
        written = path.with_name(f"{path.name}.new")
        with open(written, "wb", opener=private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)

    def _segmentation_path(self, series: str, segmentation: Segmentation) -> Path:
        return self.folder / f"{_digest(series)}-{_grid_digest(segmentation)}.seg"

    def _segmentation_paths(self, series: str) -> list[Path]:
        found = [(path.stat().st_mtime, path) for path in self.folder.glob(f"{_digest(series)}*.seg")]
        return [path for _, path in sorted(found, reverse=True)]

    def _remove_earlier(self, series: str, segmentation: Segmentation) -> None:
        """Remove the file of an earlier version, which has one name for all grids of a series."""
        path = self.folder / f"{_digest(series)}.seg"
        if (found := _read(path)) is not None and found.shares_grid(segmentation):
            path.unlink(missing_ok=True)

    def _measurements_path(self, series: str) -> Path:
        return self.folder / f"{_digest(series)}.measured"


def _digest(uid: str) -> str:
    # A UID never becomes part of a path.
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


def _grid_digest(segmentation: Segmentation) -> str:
    """Name the grid that segments lie on; without a position in the patient, also its images."""
    geometry = segmentation.geometry
    grid: list[object] = [geometry.shape, np.round(geometry.affine, 6).tolist()]
    return _digest(json.dumps(grid if segmentation.spatial else [*grid, segmentation.source_frames]))


def _read(path: Path) -> Segmentation | None:
    try:
        return _unpack(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None


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
        "spatial": segmentation.spatial,
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
    header = json.dumps(head).encode()
    return zlib.compress(len(header).to_bytes(8, "big") + header + b"".join(boxes), 1)


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
        spatial=head.get("spatial", True),
    )
