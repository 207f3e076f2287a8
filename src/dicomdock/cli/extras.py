"""The parts of dicomdock that an installation may lack."""

from __future__ import annotations

import importlib.util

from dicomdock.errors import MissingDependency

INSTALL_DOCK = "pip install 'dicomdock[dock]'"
_DOCK = ("nicegui", "starlette", "uvicorn")


def has_dock() -> bool:
    """Return True if the pages and the DICOMweb server are installed."""
    return all(importlib.util.find_spec(module) is not None for module in _DOCK)


def require_dock(part: str) -> None:
    """Refuse a command that needs the dock where it is not installed.

    Parameters
    ----------
    part : what the command needs, as the beginning of a sentence.

    Raises
    ------
    MissingDependency
        It is not installed.
    """
    if not has_dock():
        raise MissingDependency(part, f"install it with: {INSTALL_DOCK}")
