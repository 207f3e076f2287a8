"""An archive with an oblique MR series in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import MRImageStorage

from dicomdock import Archive
from dicomdock.config.settings import Settings
from tests.builders import Made, write
from tests.imaging.scans import oblique, scan

SHAPE = (6, 10, 12)
AFFINE = oblique((0.3, -0.2, 0.5), (2, 0.8, 0.6), (10, -20, 30))


def values(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) % 500).astype(np.int16)


def labels(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Return two segments that leave the outermost slices empty."""
    array = np.zeros(shape, np.uint8)
    array[1:4, 2:7, 3:9] = 1
    array[3:5, 5:9, 1:6] = 2
    return array


def two_echoes() -> list[Made]:
    """Make a series of two volumes, of echo times of 10 and 30 ms."""
    first = scan(values(), AFFINE, EchoTime=10)
    identity = {
        name: first[0].dataset[name].value
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    }
    return [*first, *scan(values() + 1, AFFINE, EchoTime=30, **identity)]


@pytest.fixture
def archive(settings: Settings) -> Iterator[Archive]:
    with Archive.open(settings) as opened:
        yield opened


@pytest.fixture
def made() -> list[Made]:
    return scan(
        values(),
        AFFINE,
        SOPClassUID=MRImageStorage,
        Modality="MR",
        SeriesNumber=4,
        SeriesDescription="T1",
        PatientName="Doe^Jane",
        PatientID="P1",
    )


@pytest.fixture
def series(archive: Archive, made: list[Made], tmp_path: Path) -> str:
    """Return the series in the archive, as text."""
    *_, report = archive.import_paths(write(tmp_path / "made", made))
    assert report.stored == len(made)
    return f"{made[0].study}/{made[0].series}"
