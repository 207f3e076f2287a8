"""docs/tutorials/project.md with two of its ten studies: its commands, and three browsers between them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.test_docs import walk
from tests.tutorials import annotating
from tests.viewer.conftest import viewer_installed

__all__ = ["viewer_installed"]

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.timeout(900)]


def test_three_people_annotate_together(viewer_installed: None, browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    walk(
        annotating.PAGE,
        folder,
        {"10": "2", "20": "4", "42": "10"},
        code={"range(1, 11)": "range(1, 3)"},
        browsing=lambda: annotating.walk(folder, browser, 2),
    )
