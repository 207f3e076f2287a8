"""What the tools of the measuring panel measure, and how reports are shown again; without a scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.measurements.measurement import PERIMETER
from dicomdock.imaging.volume import Volume
from dicomdock.viewer.features.measure.kinds import KINDS, measured, outline, picture_text, placed
from tests.imaging.scans import oblique, scan

SHAPE = (4, 30, 40)
TURNED = oblique((0.3, 0.4, -0.2), (2, 0.5, 0.8), (5, -7, 11))


@pytest.fixture(scope="module")
def volume() -> Volume:
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    return Volume.from_instances([one.data for one in scan(values, TURNED, Modality="MR")])


def at(volume: Volume, k: float, j: float, i: float) -> np.ndarray:
    return volume.geometry.to_lps([k, j, i])


def numbers(kind: str, volume: Volume, *points: np.ndarray) -> list[float]:
    return [value.number for value in measured(kind, "m", points, volume, None).values]


def test_rectangles_and_ellipses_lie_along_the_rows(volume: Volume) -> None:
    corners = at(volume, 2, 4.5, 9.5), at(volume, 2, 14.5, 29.5)
    area, mean, _, least, most = numbers("rectangle", volume, *corners)
    inside = volume.array[2, 5:15, 10:30].astype(float)
    height, width = 10 * volume.geometry.spacing[1], 20 * volume.geometry.spacing[2]
    assert (area, mean) == pytest.approx((height * width, inside.mean()))
    assert (least, most) == (inside.min(), inside.max())
    # From the other corners it is the same.
    assert numbers("rectangle", volume, *corners[::-1]) == pytest.approx([area, mean, _, least, most])
    assert numbers("ellipse", volume, *corners)[0] == pytest.approx(np.pi * height * width / 4)
    drawn = np.array(outline("ellipse", corners, volume.geometry))
    index = volume.geometry.to_index(drawn)
    assert np.allclose(index[:, 0], 2)
    assert index[:, 1].min() == pytest.approx(4.5, abs=1e-6)
    assert index[:, 2].max() == pytest.approx(29.5, abs=0.05)
    with pytest.raises(GeometryError, match="corner to corner"):
        numbers("rectangle", volume, at(volume, 2, 4, 9), at(volume, 2, 4, 19))


def test_in_a_plane_across_the_slices_too(volume: Volume) -> None:
    corners = at(volume, 0, 10, 9.5), at(volume, 3, 10, 29.5)
    assert numbers("rectangle", volume, *corners)[0] == pytest.approx(6 * 20 * volume.geometry.spacing[2])


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "arrow"])
def test_what_is_in_a_report_is_shown_where_it_was_measured(volume: Volume, kind: str) -> None:
    places = ((1, 3, 4), (1, 20, 30), (1, 22, 8), (1, 9, 2))
    count = 4 if KINDS[kind].open_ended else KINDS[kind].points
    points = [at(volume, *one) for one in places[:count]]
    was = measured(kind, "m", points, volume, None)
    found = placed(was, volume.geometry)
    assert found is not None
    assert found[0] == {"rectangle": "region", "spline": "region", "curve": "path"}.get(kind, kind)
    again = measured(found[0], "m", found[1], volume, None)
    values = [one.number for one in was.values if one.name != PERIMETER]
    assert [one.number for one in again.values] == pytest.approx(values)


def test_an_ellipse_that_is_turned_is_shown_as_a_region(volume: Volume) -> None:
    middle, first, second = np.array((1, 15, 20)), np.array((0, 6, 6)), np.array((0, 3, -3))
    ends = [middle - first, middle + first, middle - second, middle + second]
    grid = VolumeGeometry(SHAPE, np.diag([2.0, 1, 1, 1])[:, [2, 1, 0, 3]])
    points = tuple(tuple(map(float, grid.to_lps(one))) for one in ends)
    from dicomdock.imaging.measurements import Measurement

    found = placed(Measurement("e", "ELLIPSE", points), grid)
    assert found is not None
    assert (found[0], len(found[1])) == ("region", 64)
    assert placed(Measurement("n"), grid) is None


def test_two_numbers_at_most_stand_in_the_picture(volume: Volume) -> None:
    corners = at(volume, 1, 4, 5), at(volume, 1, 4, 15), at(volume, 1, 16, 10), at(volume, 1, 20, 20)
    distance = measured("distance", "Distance 1", corners[:2], volume, None)
    assert picture_text(distance) == f"Distance 1  {distance.values[0].amount}"
    two_way = measured("two-way", "Two-way 2", corners, volume, None)
    assert picture_text(two_way) == f"Two-way 2  {two_way.values[0].amount}\n{two_way.values[1].words}"
    area = measured("ellipse", "Ellipse 3", (corners[0], corners[3]), volume, None)
    assert len(area.values) > 2
    assert picture_text(area) == f"Ellipse 3  {area.values[0].amount}\n{area.values[1].words}"
    assert picture_text(replace(area, values=())) == "Ellipse 3"
