"""A dock that does nothing but take links."""

import os
import sys
from pathlib import Path

import pytest

DOCK = Path(__file__).with_name("little_dock.py")


@pytest.fixture()
def dock_command(tmp_path: Path) -> tuple[str, ...]:
    """What starts the little dock; it writes each link to ``links`` beside, and ends by itself."""
    return (sys.executable, "-I", os.fspath(DOCK), os.fspath(tmp_path / "links"))
