"""What was clicked becomes the voxels that it was clicked on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.viewer.features.prompts.drawing import prompt_of
from tests.imaging.scans import oblique

SHAPE = (6, 10, 12)
GRID = VolumeGeometry(SHAPE, oblique((0.3, -0.2, 0.5), (2, 0.8, 0.6), (10, -20, 30)))

voxels = st.tuples(*(st.integers(0, size - 1) for size in SHAPE))


def clicked(*at: tuple[float, ...]) -> list[list[float]]:
    return GRID.to_lps(np.array(at, float)).tolist()


@pytest.mark.slow
@given(voxels, voxels, st.booleans())
def test_points_boxes_and_scribbles_reach_from_click_to_click(a, b, positive):
    point = prompt_of("point", positive, clicked(a), GRID)
    assert (point.start, point.mask.shape, point.positive) == (a, (1, 1, 1), positive)
    box = prompt_of("box", positive, clicked(a, b), GRID)
    assert box.mask.all()
    assert box.bounds == [[min(pair), max(pair) + 1] for pair in zip(a, b, strict=True)]
    line = prompt_of("scribble", positive, clicked(a, b), GRID)
    places = np.argwhere(line.mask) + line.start
    assert {a, b} <= set(map(tuple, places.tolist()))
    # Every voxel is one of its neighbours' neighbours, and none is further from the line than its corner.
    along = np.subtract(b, a)
    share = np.clip(np.dot(places - a, along) / max(1, int(along @ along)), 0, 1)
    assert np.abs(places - (np.array(a) + share[:, None] * along)).max() <= 1
    assert len(places) >= np.abs(along).max() + 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_lasso_holds_the_voxels_within(axis):
    corners = np.insert(np.array([[1.5, 1.5], [1.5, 4.5], [4.5, 4.5], [4.5, 1.5]]), axis, 3.0, axis=1)
    lasso = prompt_of("lasso", True, clicked(*corners), GRID)
    expected = [3, 3, 3]
    expected[axis] = 1
    assert lasso.mask.shape == tuple(expected) and lasso.mask.all()
    assert lasso.start == tuple(3 if one == axis else 2 for one in range(3))


def test_what_cannot_be_a_prompt_is_a_sentence():
    with pytest.raises(GeometryError, match="within the images"):
        prompt_of("point", True, clicked((6.0, 1.0, 1.0)), GRID)
    with pytest.raises(GeometryError, match="in one slice"):
        prompt_of("lasso", True, clicked((1, 1, 1), (2, 5, 3), (3, 2, 6)), GRID)
    with pytest.raises(GeometryError, match="no voxel"):
        prompt_of("lasso", True, clicked((1, 1.1, 1.1), (1, 1.2, 1.1), (1, 1.2, 1.2)), GRID)
