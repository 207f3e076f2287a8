"""A running origin server for every test of this folder that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomdock.archive import Archive
from dicomdock.settings import Settings
from tests.origin.running import Running, serving


@pytest.fixture
def server(settings: Settings) -> Iterator[Running]:
    """Serve an empty archive."""
    with Archive.open(settings) as archive, serving(archive) as running:
        yield running
