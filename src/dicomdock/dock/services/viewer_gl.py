"""Which OpenGL library the viewers draw with."""

from __future__ import annotations

import subprocess
import sys
import threading

from dicomdock.dock.services.viewer_process import ViewerError
from dicomdock.dock.services.viewer_template import VIEWER

NO_GL = (
    "The viewer cannot draw: no OpenGL library works on this machine."
    " On Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri. Everything but the viewer works without."
)


class GlChoice:
    """The choice of an OpenGL window class, which is tried out in a process of its own, once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chosen: str | None = None

    def choose(self) -> str:
        """Return the name of the window class; empty where VTK's own choice draws.

        Raises
        ------
        ViewerError
            None draws.
        """
        with self._lock:
            if self._chosen is None:
                tried = subprocess.run(
                    [sys.executable, "-m", f"{VIEWER}.process.gl", "choose"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )
                if tried.returncode != 0:
                    raise ViewerError(NO_GL)
                self._chosen = tried.stdout.decode(errors="replace").strip()
            return self._chosen
