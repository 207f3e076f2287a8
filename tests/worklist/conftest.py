"""An archive's index, once for each database."""

from tests.archive.conftest import archive_settings, new_database, postgresql

__all__ = ["archive_settings", "new_database", "postgresql"]
