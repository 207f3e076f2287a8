"""Which views are scrolled together, and where to."""

from __future__ import annotations

import numpy as np
import pytest

from dicomdock.viewer.features.compare.planes import place_in

MIDDLE = (5.0, -20.0, 792.0)


def plane(normal: tuple[float, float, float]) -> np.ndarray:
    """Return the plane of a view about ``MIDDLE``."""
    across = np.array(normal) / np.linalg.norm(normal)
    right = np.cross((0.3, 0.9, 0.1), across)
    right /= np.linalg.norm(right)
    found = np.eye(4)
    found[:3, :3] = np.transpose([right, np.cross(across, right), across])
    found[:3, 3] = MIDDLE
    return found


@pytest.mark.parametrize(
    ("normal", "together"),
    [((0, 0, 1), True), ((0, 0, -1), True), ((0, 0.5, 1), True), ((1, 0, 0), False), ((0, 1, 0), False)],
    ids=["axial", "axial from above", "tilted", "sagittal", "coronal"],
)
def test_planes_across_are_not_scrolled_together(normal: tuple[float, float, float], together: bool) -> None:
    axial, other = plane((0, 0, 1)), plane(normal)
    for one, two in ((axial, other), (other, axial)):
        found = place_in(one, two, np.eye(4))
        assert (found is not None) == together
        assert found is None or found == pytest.approx(MIDDLE)


def test_a_registration_moves_the_place_and_turns_the_plane() -> None:
    # The patient lies on the left side in the other series: head stays, what was left is behind.
    turned = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 30], [0, 0, 0, 1.0]])
    assert place_in(plane((0, 0, 1)), plane((0, 0, 1)), turned) == pytest.approx((20, 5, 822))
    assert place_in(plane((1, 0, 0)), plane((1, 0, 0)), turned) is None
    assert place_in(plane((1, 0, 0)), plane((0, 1, 0)), turned) is not None
