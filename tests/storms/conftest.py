"""An archive of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings


@pytest.fixture
def archive(settings: Settings) -> Iterator[Archive]:
    with Archive.open(settings) as opened:
        yield opened
