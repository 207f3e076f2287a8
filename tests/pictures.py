"""Pictures for the documentation: tests renew those that it shows, with ``DICOMDOCK_SCREENSHOTS=1``."""

from __future__ import annotations

import os
from typing import Literal

from playwright.sync_api import Page

from tests.conftest import PROJECT

FOR_DOCS = os.environ.get("DICOMDOCK_SCREENSHOTS") == "1"
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SCREENSHOTS = PROJECT / "docs" / "screenshots"


def picture(page: Page, name: str) -> None:
    """Take the picture of that name, where the documentation shows one and is to be renewed."""
    if FOR_DOCS and (SCREENSHOTS / name).exists():
        page.screenshot(path=SCREENSHOTS / name, animations="disabled")
