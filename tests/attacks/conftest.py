"""Fixtures that the attacks share with the tests of the dock."""

from __future__ import annotations

from tests.dock.conftest import context, page

__all__ = ["context", "page"]
