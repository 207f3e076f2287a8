"""Agreement of two masks: against SimpleITK's filters, every distance by brute force, and known shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Mask, agreement

SPACING = (2.5, 0.7, 1.1)  # mm, along k, j, i


def grid(shape: tuple[int, ...], spacing: tuple[float, float, float] = SPACING) -> VolumeGeometry:
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing[::-1])[:, ::-1]
    return VolumeGeometry((shape[0], shape[1], shape[2]), affine)


def ellipsoid(shape: tuple[int, int, int], middle: tuple[float, ...], radii: tuple[float, ...]) -> Any:
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    away = [((axis - at) / radius) ** 2 for axis, at, radius in zip((k, j, i), middle, radii, strict=True)]
    return sum(away) <= 1


def of(first: Any, second: Any, spacing: tuple[float, float, float] = SPACING) -> Any:
    return agreement(Mask.of(first), Mask.of(second), grid(first.shape, spacing))


def test_it_is_what_simpleitk_measures() -> None:
    sitk = pytest.importorskip("SimpleITK")
    shape = (30, 60, 50)
    first = ellipsoid(shape, (14, 28, 24), (8, 20, 15))
    second = ellipsoid(shape, (16, 31, 23), (9, 17, 16))

    def image(mask: Any) -> Any:
        made = sitk.GetImageFromArray(mask.astype(np.uint8))
        made.SetSpacing(SPACING[::-1])
        return made

    images = image(first), image(second)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    contours = [sitk.LabelContour(one, fullyConnected=False) for one in images]
    maps = [
        sitk.GetArrayFromImage(
            sitk.Abs(sitk.SignedMaurerDistanceMap(one, squaredDistance=False, useImageSpacing=True))
        )
        for one in contours
    ]
    edges = [sitk.GetArrayFromImage(one) > 0 for one in contours]
    there, back = maps[1][edges[0]], maps[0][edges[1]]
    found = of(first, second)
    assert found.dice == pytest.approx(overlap.GetDiceCoefficient())
    assert found.distance_95 == pytest.approx(
        max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5
    )
    assert found.mean_distance == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)
    voxel = np.prod(SPACING) / 1000
    assert found.volumes == pytest.approx((first.sum() * voxel, second.sum() * voxel))


def brute_force(first: Any, second: Any) -> tuple[float, float]:
    """Measure every pair of surface voxels."""

    def edge(mask: Any) -> Any:
        outside = ~np.pad(mask, 1)
        touched = np.zeros(mask.shape, bool)
        for axis in range(3):
            for step in (-1, 1):
                touched |= np.roll(outside, step, axis)[1:-1, 1:-1, 1:-1]
        return np.argwhere(mask & touched) * SPACING

    a, b = edge(first), edge(second)
    pairs = np.linalg.norm(a[:, None] - b[None], axis=2)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    return max(np.percentile(there, 95), np.percentile(back, 95)), np.concatenate([there, back]).mean()


@pytest.mark.slow
@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.7), st.floats(0.02, 0.7))
def test_every_distance_is_the_shortest(seed: int, share: float, other: float) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(2, 9, 3))
    first, second = random.random(shape) < share, random.random(shape) < other
    first.flat[random.integers(first.size)] = second.flat[random.integers(first.size)] = True
    found = of(first, second)
    expected = brute_force(first, second)
    assert (found.distance_95, found.mean_distance) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_known_shapes() -> None:
    cube = np.zeros((20, 20, 20), bool)
    cube[5:10, 5:10, 5:10] = True
    same = of(cube, cube)
    assert (same.dice, same.distance_95, same.mean_distance) == (1.0, 0.0, 0.0)
    far = np.zeros_like(cube)
    far[19, 5:10, 5:10] = True  # ten slices from the nearer face, fourteen from the farther one
    apart = of(cube, far, (1.0, 1.0, 1.0))
    assert apart.dice == 0.0
    assert apart.distance_95 == pytest.approx(14.0)
    flat = np.zeros((1, 8, 8), bool)
    flat[0, 2, 2] = True
    point = np.zeros_like(flat)
    point[0, 5, 6] = True
    assert of(flat, point, (1.0, 1.0, 1.0)).distance_95 == pytest.approx(5.0)  # 3, 4, 5
    nothing = np.zeros_like(flat)
    empty, none = of(flat, nothing), of(nothing, nothing)
    assert (empty.dice, empty.distance_95, empty.volumes[1]) == (0.0, None, 0.0)
    assert (none.dice, none.mean_distance) == (None, None)


def test_a_tilted_gantry_and_a_large_box_leave_overlap_and_volumes() -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[1, 0] = 0.3
    first = np.zeros((3, 3, 3), bool)
    first[:2] = True
    second = np.roll(first, 1, axis=0)
    found = agreement(Mask.of(first), Mask.of(second), VolumeGeometry((3, 3, 3), affine))
    assert (found.volumes, found.dice) == (pytest.approx((0.018, 0.018)), pytest.approx(0.5))
    assert (found.distance_95, found.mean_distance, "tilted" in found.remark) == (None, None, True)
    voxel = np.ones((1, 1, 1), bool)
    found = agreement(Mask((0, 0, 0), voxel), Mask((1000, 1000, 1000), voxel), grid((1001, 1001, 1001)))
    assert (found.dice, found.distance_95) == (0.0, None)
    assert "too far apart" in found.remark
