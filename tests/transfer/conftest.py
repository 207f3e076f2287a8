"""An archive of the test's own, and transfers run to their end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.transfer import Progress

T = TypeVar("T")


@pytest.fixture
def archive(settings: Settings) -> Iterator[Archive]:
    with Archive.open(settings) as opened:
        yield opened


def ended(work: Generator[Progress, None, T]) -> T:
    """Run a transfer to its end and give its report."""
    while True:
        try:
            next(work)
        except StopIteration as stopped:
            return stopped.value
