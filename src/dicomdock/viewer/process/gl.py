"""Which GL library can draw here: found out in a process of its own, because a missing one ends it.

VTK without a usable GL library stops with a segmentation fault, which no ``except`` catches. So the trial is
``python -m dicomdock.viewer.process.gl``: it draws a few pixels and reports by its exit code whether they
came out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

CHOICE = "VTK_DEFAULT_OPENGL_WINDOW"
HEADLESS = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow")
TRIAL_SECONDS = 60.0  # a cold disk makes the first import slow
REMEDY = "apt-get install libegl1 libgl1-mesa-dri (or your system's like)"


def has_display(environment: Mapping[str, str]) -> bool:
    """Return whether VTK would open its windows on a display of its own."""
    if sys.platform != "linux":
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def candidates(environment: Mapping[str, str]) -> list[str]:
    """Name the render windows to try; an empty name leaves the choice to VTK."""
    if environment.get(CHOICE):
        return [environment[CHOICE]]
    return ["", *HEADLESS] if has_display(environment) else list(HEADLESS)


def choose(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the first render window that draws; None where none does."""
    environment = dict(os.environ if environment is None else environment)
    for name in candidates(environment):
        trial = {key: value for key, value in environment.items() if key != CHOICE}
        if name:
            trial[CHOICE] = name
        try:
            done = subprocess.run(
                [sys.executable, "-m", "dicomdock.viewer.process.gl"],
                env=trial,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TRIAL_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return name
    return None


def draw() -> bool:
    """Draw an empty picture in a colour and look whether it came out; ends the process where it cannot."""
    from vtkmodules import vtkRenderingOpenGL2  # noqa: F401 - registers the window
    from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
    from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow

    window = vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.ShowWindowOff()
    window.SetSize(8, 8)
    renderer = vtkRenderer()
    renderer.SetBackground(1.0, 0.0, 0.0)
    window.AddRenderer(renderer)
    window.Render()
    pixels = vtkUnsignedCharArray()
    window.GetPixelData(0, 0, 7, 7, 0, pixels, 0)
    return bool(pixels.GetNumberOfValues()) and pixels.GetValue(0) == 255


def main(arguments: list[str]) -> int:
    """Draw; with ``choose``, print which render window draws (nothing where VTK's own choice does)."""
    if arguments != ["choose"]:
        return 0 if draw() else 1
    name = choose()
    if name is None:
        return 1
    sys.stdout.write(f"{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
