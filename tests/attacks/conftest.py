"""Fixtures that the attacks share with the tests of the dock."""

from __future__ import annotations

from tests.dock.conftest import context

__all__ = ["context"]
