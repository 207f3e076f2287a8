"""What tools of values and sizes begin with: numpy judges the histogram."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dicomdock.imaging.volume import Volume
from tests.imaging.scans import grid

pytestmark = [pytest.mark.viewer, pytest.mark.usefixtures("viewer_installed")]


def volume(array: np.ndarray, spacing: float = 1.0) -> Volume:
    """Make a volume of cubic voxels."""
    return Volume(array, grid(array.shape, np.diag([spacing, spacing, spacing, 1.0])))


@pytest.mark.parametrize(
    ("side", "expected"),
    [(256.0, (8, 0.1, 130)), (400.0, (10, 0.1, 200)), (30.0, (0.9, 0.01, 15)), (5.0, (0.1, 0.01, 2.5))],
)
def test_a_brush_suits_the_size_of_a_slice(side: float, expected: tuple[float, ...]) -> None:
    from dicomdock.viewer.features.segments.ranges import brush_of

    rows = 10
    assert brush_of(volume(np.zeros((2, rows, 5), np.int16), side / rows)) == pytest.approx(expected)


def test_a_histogram_is_drawn_of_its_counts() -> None:
    from dicomdock.viewer.features.segments.ranges import histogram

    values = np.repeat(np.arange(128), np.arange(1, 129))  # value v, v + 1 times
    values = np.append(values, np.zeros(5000, int)).astype(np.int16).reshape(1, 1, -1)
    path = histogram(volume(values), (0, 127))
    heights = [32 - float(one) for one in re.findall(r"V([\d.]+)h1", path)]
    counts, _ = np.histogram(values, 128, (0, 127))
    expected = 32 * np.sqrt(np.minimum(counts / 128, 1))  # air is cut to the next one
    assert heights == pytest.approx(expected, abs=0.06)


def test_one_value_alone_has_no_histogram() -> None:
    from dicomdock.viewer.features.segments.ranges import histogram

    assert histogram(volume(np.full((2, 2, 2), 7, np.int16)), (7, 7)) == ""


def test_the_ends_of_a_volume_are_of_its_numbers() -> None:
    from dicomdock.viewer.features.segments.ranges import ends_of

    assert ends_of(volume(np.array([[[3, -1024, 7]]], np.int16))) == (-1024, 7)
    assert ends_of(volume(np.array([[[np.nan, -0.5, 2.5]]]))) == (-0.5, 2.5)
    assert ends_of(volume(np.full((1, 1, 2), np.nan))) == (0, 0)
