"""Unsaved work on disk: of several grids of one series, and of an earlier version."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dicomdock.config.settings import Settings
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.viewer.autosave import UnsavedWork

SERIES = "1.2.3"
LOW = VolumeGeometry((4, 5, 6), np.diag([2.0, 1, 1, 1]))
HIGH = VolumeGeometry((8, 5, 6), np.diag([1.0, 1, 1, 1]))


def drawn(geometry: VolumeGeometry, label: str) -> Segmentation:
    array = np.zeros((1, *geometry.shape), np.uint8)
    array[0, 1, 2:4, 3] = 1
    return Segmentation.from_array(array, geometry, names=[label])


def work(folder: Path) -> UnsavedWork:
    return UnsavedWork(Settings(folder, folder, folder), "1.2")


def labels(folder: Path) -> set[str]:
    return {one.segments[0].label for one in work(folder).read_segmentations(SERIES)}


def test_each_grid_of_a_series_has_its_own_work(tmp_path: Path) -> None:
    assert labels(tmp_path) == set()
    work(tmp_path).write_segmentation(SERIES, drawn(LOW, "low"))
    work(tmp_path).write_segmentation(SERIES, drawn(HIGH, "high"))
    work(tmp_path).write_segmentation("1.2.4", drawn(LOW, "other series"))
    assert labels(tmp_path) == {"low", "high"}
    work(tmp_path).write_segmentation(SERIES, drawn(HIGH, "changed"))
    assert labels(tmp_path) == {"low", "changed"}
    work(tmp_path).remove_segmentation(SERIES, drawn(LOW, ""))
    assert labels(tmp_path) == {"changed"}
    work(tmp_path).remove_segmentation(SERIES, drawn(HIGH, ""))
    assert labels(tmp_path) == set()


def test_work_of_an_earlier_version_is_read_until_it_is_written_anew(tmp_path: Path) -> None:
    """Its file has the name of the series alone."""
    unsaved = work(tmp_path)
    unsaved.write_segmentation(SERIES, drawn(LOW, "low"))
    (path,) = unsaved.folder.glob("*.seg")
    earlier = path.with_name(f"{path.name.partition('-')[0]}.seg")
    path.rename(earlier)
    assert labels(tmp_path) == {"low"}
    unsaved.write_segmentation(SERIES, drawn(HIGH, "high"))
    assert labels(tmp_path) == {"low", "high"}
    unsaved.write_segmentation(SERIES, drawn(LOW, "changed"))
    assert labels(tmp_path) == {"changed", "high"}
    assert not earlier.exists()


def test_an_unreadable_file_hides_no_other(tmp_path: Path) -> None:
    unsaved = work(tmp_path)
    unsaved.write_segmentation(SERIES, drawn(LOW, "low"))
    (path,) = unsaved.folder.glob("*.seg")
    path.with_name(f"{path.name.partition('-')[0]}.seg").write_bytes(b"broken")
    assert labels(tmp_path) == {"low"}
    unsaved.remove_segmentation(SERIES, drawn(LOW, ""))
    assert labels(tmp_path) == set()
