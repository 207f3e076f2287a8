"""Machines that lack something, made by the environment of the programs that are started."""

from __future__ import annotations

from pathlib import Path

GL_LIBRARIES = ("libEGL.so", "libEGL.so.1", "libOSMesa.so", "libOSMesa.so.6", "libOSMesa.so.8")


def without_gl(folder: Path, *names: str) -> dict[str, str]:
    """Return the variables under which started programs cannot load the named GL libraries, or any."""
    folder.mkdir()
    for name in names or GL_LIBRARIES:
        (folder / name).write_text("no library")
    return {"LD_LIBRARY_PATH": str(folder), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
