"""Which GL library draws is found out in a process of its own; without one there are words."""

from __future__ import annotations

import ctypes.util
import os
import sys
from pathlib import Path

import pytest

from dicomdock.viewer.process import gl
from tests.conftest import unavailable
from tests.machines import without_gl

pytestmark = [
    pytest.mark.viewer,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems bring their own GL"),
]


@pytest.fixture
def headless(viewer_installed: None) -> dict[str, str]:
    """The environment without a display, and without a choice made beforehand."""
    told = ("DISPLAY", "WAYLAND_DISPLAY", gl.CHOICE)
    return {name: value for name, value in os.environ.items() if name not in told}


def test_egl_is_tried_first(headless: dict[str, str]) -> None:
    assert gl.choose(headless) == "vtkEGLRenderWindow"


def test_osmesa_draws_where_egl_does_not(headless: dict[str, str], tmp_path: Path) -> None:
    if ctypes.util.find_library("OSMesa") is None:
        unavailable("OSMesa", "apt-get install libosmesa6")
    # VTK may itself turn to OSMesa under EGL's name.
    assert gl.choose(headless | without_gl(tmp_path / "gl", "libEGL.so", "libEGL.so.1")) in gl.HEADLESS


def test_without_any_the_trial_falls_and_nobody_else(headless: dict[str, str], tmp_path: Path) -> None:
    assert gl.choose(headless | without_gl(tmp_path / "gl")) is None


def test_a_display_leaves_the_first_try_to_vtk() -> None:
    assert gl.candidates({"DISPLAY": ":0"}) == ["", *gl.HEADLESS]
    assert gl.candidates({gl.CHOICE: "vtkXOpenGLRenderWindow"}) == ["vtkXOpenGLRenderWindow"]
