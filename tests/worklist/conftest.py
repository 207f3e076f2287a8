"""An archive's index, once for each database, and the database of a work list."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.index.engine import Index
from dicomdock.config.settings import Settings
from tests.archive.conftest import archive_settings, new_database, postgresql

__all__ = ["archive_settings", "new_database", "postgresql"]
PATIENCE = 300.0  # seconds; longer than fifty transactions take on any machine


@pytest.fixture
def database(archive_settings: Settings) -> Iterator[Index]:
    """Yield an empty database, that of an archive's work list as it opens it."""
    Archive.open(archive_settings).close()
    file = "index-worklist.sqlite"
    index = Index(archive_settings.database, archive_settings.archive, lock_timeout=PATIENCE, file=file)
    yield index
    index.close()
