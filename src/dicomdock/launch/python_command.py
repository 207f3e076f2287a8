"""How another program starts us: the same Python, separate from the caller's environment."""

from __future__ import annotations

import site
import sys
from pathlib import Path


def python(executable: str = sys.executable) -> tuple[str, ...]:
    """Return the command that starts this Python so that nothing from a browser's environment or folder gets
    in.

    A ``pip install --user`` lives where ``-I`` does not look; then environment and folder are shut out one
    by one.
    """
    ours = Path(__file__).resolve()
    users = site.getusersitepackages() if site.ENABLE_USER_SITE else ""
    if users and ours.is_relative_to(Path(users).resolve()):
        return (executable, "-E", "-P")
    return (executable, "-I")
