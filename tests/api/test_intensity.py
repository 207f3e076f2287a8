"""Registration by intensity: a known turn and shift is found, and a process that is left ends."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from dicomdock.api.intensity import register
from dicomdock.errors import GeometryError, MissingDependency
from dicomdock.imaging.volume import Volume
from tests.imaging.scans import grid, oblique

TRUTH = oblique((0.10, -0.06, 0.12), (1, 1, 1), (4, -3, 5))[:, [2, 1, 0, 3]]
"""From the moving to the fixed frame of reference."""

SPOTS = np.random.default_rng(5).uniform(-22, 22, (14, 3))
SIZES, HEIGHTS = np.linspace(4, 9, 14), np.linspace(200, 1000, 14)
FIXED = oblique((0.05, 0.1, -0.1), (2, 1.5, 1.5), (-33, -30, -30))
MOVING = oblique((-0.2, 0.0, 0.2), (1.8, 1.6, 1.6), (-36, -33, -27))
SHAPE = (32, 40, 42)

needs_itk = pytest.mark.skipif(
    importlib.util.find_spec("SimpleITK") is None,
    reason="SimpleITK is not here; to run this test: pip install 'dicomdock[registration]'",
)


def body(points: np.ndarray) -> np.ndarray:
    """Return values at points of the fixed frame of reference: spots that no turn brings onto themselves."""
    away = np.linalg.norm(points[..., None, :] - SPOTS, axis=-1)
    return (HEIGHTS * np.exp(-((away / SIZES) ** 2))).sum(axis=-1)


def volume(affine: np.ndarray, to_fixed: np.ndarray, contrast: bool) -> Volume:
    geometry = grid(SHAPE, affine)
    points = geometry.to_lps(np.moveaxis(np.indices(SHAPE), 0, -1).reshape(-1, 3))
    values = body(points @ to_fixed[:3, :3].T + to_fixed[:3, 3]).reshape(SHAPE)
    return Volume((2000 - values if contrast else values).astype(np.float32), geometry)


@pytest.mark.slow
@needs_itk
@pytest.mark.parametrize("contrast", [False, True])
def test_a_known_turn_and_shift_is_found(contrast: bool) -> None:
    """Also where bright is dark in the other modality."""
    done: list[float] = []
    found = register(volume(FIXED, np.eye(4), False), volume(MOVING, TRUTH, contrast), done.append)
    corners = np.array([[x, y, z, 1] for x in (-25, 25) for y in (-25, 25) for z in (-25, 25)])
    wrong = np.linalg.norm((corners @ found.T - corners @ TRUTH.T)[:, :3], axis=1)
    before = np.linalg.norm((corners - corners @ TRUTH.T)[:, :3], axis=1)
    assert before.max() > 8
    assert wrong.max() < 0.75, wrong  # half a pixel
    assert done == sorted(done)
    assert 0 < done[-1] <= 1


@pytest.mark.slow
@needs_itk
def test_whatever_ends_the_caller_ends_the_process() -> None:
    class Cancelled(Exception): ...

    def stop(_: float) -> None:
        raise Cancelled

    fixed = volume(FIXED, np.eye(4), False)
    with pytest.raises(Cancelled):
        register(fixed, fixed, stop)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = volume(FIXED, np.eye(4), False)
    colour = Volume(np.zeros((*SHAPE, 3), np.uint8), fixed.geometry)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(GeometryError, match="Only grey images"):
        register(colour, fixed)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"dicomdock\[registration\]"):
        register(fixed, fixed)
