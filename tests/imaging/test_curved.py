"""Volumes along a curve: lengths, widths and sides are true, and values are those that SimpleITK finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.volume import Volume, along_curve, smooth_curve
from tests.imaging.scans import grid, oblique

RADIUS, RISE, TURNS, TUBE = 20.0, 30.0, 1.5, 4.0
"""Of a helix about z, in mm; it rises so much in each turn. ``TUBE`` is the radius of the tube along it."""

OBLIQUE = oblique((0.3, 0.4, -0.2), (2, 0.5, 0.8), (5, -7, 11))


def helix(count: int) -> np.ndarray:
    turns = np.linspace(0, TURNS, count)
    angles = 2 * np.pi * turns
    return np.column_stack([RADIUS * np.cos(angles), RADIUS * np.sin(angles), RISE * turns])


def places_of(shape: tuple[int, int, int], geometry: VolumeGeometry) -> np.ndarray:
    return geometry.to_lps(np.moveaxis(np.indices(shape), 0, -1))


@pytest.fixture(scope="module")
def tube() -> Volume:
    """A tube along the helix, 1000 inside and 0 outside, soft by a voxel at its wall; voxels are 1 mm."""
    shape = (70, 70, 70)
    affine = np.array([[0, 0, 1, -35], [0, 1, 0, -35], [1, 0, 0, -12], [0, 0, 0, 1.0]])
    nearest = np.full(shape, 9.0)
    for one in helix(250):
        low = np.maximum(np.round(one - affine[:3, 3]).astype(int)[::-1] - 8, 0)
        box = tuple(slice(start, start + 16) for start in low)
        places = np.moveaxis(np.indices(nearest[box].shape), 0, -1)[..., ::-1] + low[::-1] + affine[:3, 3]
        nearest[box] = np.minimum(nearest[box], np.linalg.norm(places - one, axis=-1))
    values = np.clip(TUBE + 0.5 - nearest, 0, 1) * 1000
    return Volume(values.astype(np.float32), VolumeGeometry(shape, affine))


def test_a_tube_along_a_helix_becomes_straight(tube: Volume) -> None:
    image = tube.along(helix(40), width=30, spacing=0.5)
    assert image.length == pytest.approx(TURNS * np.hypot(2 * np.pi * RADIUS, RISE), rel=1e-4)
    assert image.array.shape == (int(image.length / 0.5) + 1, 61)
    assert np.allclose(np.linalg.norm(np.diff(image.points, axis=0), axis=1), 0.5, atol=1e-3)
    inner = image.array[20:-20]
    widths = (inner > 500).sum(axis=1) * image.spacing
    assert np.abs(widths - 2 * TUBE).max() <= 2 * image.spacing
    columns = np.arange(image.array.shape[1]) - 30
    middles = (inner * columns).sum(axis=1) / inner.sum(axis=1) * image.spacing
    assert np.abs(middles).max() < 0.25  # straight


def test_rows_are_perpendicular_and_turn_as_little_as_they_can(tube: Volume) -> None:
    image = tube.along(helix(40), spacing=0.5)
    assert np.abs((image.across * image.tangents).sum(axis=1)).max() < 1e-9
    assert np.allclose(np.linalg.norm(image.across, axis=1), 1)
    turned = np.cross(image.across[:-1], np.diff(image.across, axis=0))
    assert np.abs((turned * image.tangents[:-1]).sum(axis=1)).max() < 1e-3
    # In a plane nothing turns: what is perpendicular to it stays so, as in a panoramic view of a jaw.
    flat = helix(40) * (1, 1, 0)
    panoramic = tube.along(flat, towards=(0, 0, 1))
    assert np.allclose(panoramic.across, (0, 0, 1))


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_values_are_those_of_simpleitk(kind: str) -> None:
    shape = (12, 40, 30)
    values = np.random.default_rng(3).normal(0, 300, shape).astype(kind)
    geometry = VolumeGeometry(shape, OBLIQUE)
    points = geometry.to_lps([(2, 5, 6), (5, 20, 9), (8, 25, 18), (9, 33, 21)])
    image = along_curve(values, geometry, points, width=12, fill=-1024)
    witness: Any = SimpleITK.GetImageFromArray(values)
    witness.SetSpacing(geometry.spacing[::-1])
    witness.SetOrigin(geometry.origin)
    witness.SetDirection(geometry.directions[:, ::-1].ravel().tolist())
    rows, columns = image.array.shape
    seen = outside = 0
    for row in range(0, rows, 3):
        for column in range(columns):
            place = image.to_lps(row, column)
            index = geometry.to_index(place)
            if ((index >= 0.01) & (index <= np.array(shape) - 1.01)).all():
                due = witness.EvaluateAtPhysicalPoint(place.tolist(), SimpleITK.sitkLinear)
                assert image.array[row, column] == pytest.approx(due, abs=0.51 if kind == "int16" else 0.01)
                seen += 1
            elif ((index < -0.01) | (index > np.array(shape) - 0.99)).any():
                assert image.array[row, column] == -1024
                outside += 1
    assert seen > 100
    assert outside


@pytest.mark.parametrize(
    ("path", "angle", "right"),
    [
        ((0, 0, -1), 0, (1, 0, 0)),  # down the body: the patient's left is at the right
        ((0, 0, -1), 90, (0, -1, 0)),  # clockwise for who looks down: from left to anterior
        ((0, 0, 1), 90, (0, 1, 0)),
        ((0, 1, 0), 0, (1, 0, 0)),
        ((1, 0, 0), 0, (0, 1, 0)),  # along left and right: posterior is at the right
    ],
)
def test_left_is_left(path: tuple[float, ...], angle: float, right: tuple[float, ...]) -> None:
    shape = (30, 80, 60)
    geometry = VolumeGeometry(shape, OBLIQUE)
    middle = geometry.to_lps((np.array(shape) - 1) / 2)
    slopes = np.array([3.0, -5.0, 7.0])  # its values tell each direction from the others and its reverse
    values = places_of(shape, geometry) @ slopes
    ends = [middle - 5 * np.array(path), middle + 5 * np.array(path)]
    image = along_curve(values, geometry, ends, width=8, spacing=0.5, angle=angle)
    assert image.length == pytest.approx(10)
    assert np.allclose(np.diff(image.array, axis=0), 0.5 * np.array(path) @ slopes)
    assert np.allclose(np.diff(image.array, axis=1), 0.5 * np.array(right) @ slopes)
    assert image.array[0, 8] == pytest.approx(ends[0] @ slopes)


COORDINATE = st.floats(-8, 8)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), min_size=2, max_size=6, unique=True),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(-100, 100)] * 3),
)
def test_moving_volume_and_path_together_changes_nothing(
    points: list[tuple[float, ...]], angles: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    values = np.random.default_rng(5).normal(0, 1, (12, 24, 24))
    before = VolumeGeometry(values.shape, oblique((0.1, 0.2, 0.3), (2, 1, 1), (-11, -11, -11)))
    motion = oblique(angles, (1, 1, 1), shift)[:, [2, 1, 0, 3]]
    moved = VolumeGeometry(values.shape, motion @ before.affine)
    path = np.array(points)
    if np.linalg.norm(np.diff(path, axis=0), axis=1).min() < 0.1:
        return
    _, tangents, _ = smooth_curve(path, 1.0)
    towards = np.cross(
        tangents[0], (0.3, 0.5, 0.8) if abs(tangents[0] @ (0.3, 0.5, 0.8)) < 0.9 else (1, 0, 0)
    )
    one = along_curve(values, before, path, width=6, towards=towards)
    other = along_curve(
        values,
        moved,
        path @ motion[:3, :3].T + motion[:3, 3],
        width=6,
        towards=motion[:3, :3] @ towards,
        fill=0,
    )
    assert other.length == pytest.approx(one.length)
    assert np.allclose(other.points, one.points @ motion[:3, :3].T + motion[:3, 3], atol=1e-5)
    inside = before.to_index(one.points[:, None] + np.linspace(-3, 3, 7)[:, None] * one.across[:, None])
    sure = (np.abs(inside - np.round(inside)) > 1e-4).all(axis=-1)  # not on the limit of the volume
    assert np.allclose(other.array[sure], one.array[sure], atol=1e-3)


def test_lengths_are_those_of_circles_and_straight_lines() -> None:
    angles = np.linspace(0, np.pi, 13)
    arc = np.column_stack([50 * np.cos(angles), 50 * np.sin(angles), np.zeros(13)])
    _, _, length = smooth_curve(arc, 0.5)
    assert length == pytest.approx(50 * np.pi, rel=1e-4)
    samples, tangents, length = smooth_curve([(0, 0, 0), (0, 0, 0), (3, 4, 0)], 1.0)
    assert length == pytest.approx(5)
    assert np.allclose(samples, np.outer(np.arange(6), (0.6, 0.8, 0)))
    assert np.allclose(tangents, (0.6, 0.8, 0))


def test_the_tremor_of_a_hand_does_not_turn_the_rows() -> None:
    angles = np.linspace(0, np.pi, 80)
    drawn = np.column_stack([50 * np.cos(angles), 50 * np.sin(angles), np.zeros(80)])
    drawn[:, :2] += np.random.default_rng(1).uniform(-0.4, 0.4, (80, 2))
    samples, tangents, length = smooth_curve(drawn, 0.5, tolerance=1.0)
    assert length == pytest.approx(50 * np.pi, rel=0.02)
    assert np.abs(np.linalg.norm(samples, axis=1) - 50).max() < 2
    circle = np.cross((0, 0, 1), samples / np.linalg.norm(samples, axis=1, keepdims=True))
    off = np.degrees(np.arccos(np.clip((tangents * circle).sum(axis=1), -1, 1)))
    assert off.max() < 8
    _, rough, _ = smooth_curve(drawn, 0.5)
    assert np.degrees(np.arccos(np.clip((rough[:300] * circle[:300]).sum(axis=1), -1, 1))).max() > 15


def test_a_path_that_turns_back_is_followed() -> None:
    samples, tangents, length = smooth_curve([(0, 0, 0), (0, 0, 10), (0, 0, 0)], 0.5)
    assert np.isfinite(tangents).all()
    assert length == pytest.approx(20, abs=0.2)
    assert np.isfinite(along_curve(np.zeros((6, 10, 12)), grid(), samples).across).all()


def test_colours_are_colours() -> None:
    array = np.zeros((6, 10, 12, 3), np.uint8)
    array[..., 0] = 200
    image = along_curve(array, grid(), grid().to_lps([(1, 4, 5), (4, 5, 6)]), width=1)
    assert image.array.shape[1:] == (3, 3)
    assert (image.array == (200, 0, 0)).all()


@pytest.mark.parametrize(
    ("points", "given", "words"),
    [
        ([], {}, "three finite numbers"),
        ([(1, 2, 3)], {}, "two points"),
        ([(1, 2, 3), (1, 2, 3)], {}, "two points"),
        ([(1, 2, 3), (1, 2, float("nan"))], {}, "finite"),
        ([(1, 2), (3, 4)], {}, "three finite numbers"),
        ([(0, 0, 0), (0, 0, 9)], {"towards": (0, 0, 1)}, "begins along"),
        ([(0, 0, 0), (0, 0, 9)], {"towards": (0, 0, 0)}, "begins along"),
        ([(0, 0, 0), (0, 0, 9)], {"width": 0}, "more than 0 mm"),
        ([(0, 0, 0), (0, 0, 9)], {"spacing": -1}, "more than 0 mm"),
        ([(0, 0, 0), (0, 0, 9e9)], {}, "too large"),
        ([(0, 0, 0), (0, 0, 9)], {"width": 1e12}, "too large"),
    ],
)
def test_what_makes_no_image_is_said(points: list[Any], given: dict[str, Any], words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        along_curve(np.zeros((6, 10, 12)), grid(), points, **given)


def test_a_stack_without_a_position_has_no_path() -> None:
    volume = Volume(np.zeros((6, 10, 12)), grid(), spatial=False)
    with pytest.raises(GeometryError, match="no position in the patient"):
        volume.along([(0, 0, 0), (0, 0, 9)])
