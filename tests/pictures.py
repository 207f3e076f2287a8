"""Pictures for the documentation: tests that take screenshots renew them with ``DICOMDOCK_SCREENSHOTS=1``."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import PROJECT

FOR_DOCS = os.environ.get("DICOMDOCK_SCREENSHOTS") == "1"
SCREENSHOTS = PROJECT / "docs" / "screenshots"


def picture_file(name: str, folder: Path) -> Path:
    """Return where a screenshot goes: to the documentation, if it shows this one and is to be renewed.

    Parameters
    ----------
    folder : the test's own, for all others.
    """
    shown = SCREENSHOTS / name
    return shown if FOR_DOCS and shown.exists() else folder / name
