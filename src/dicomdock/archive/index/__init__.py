"""The index of the archive: tables, queries, migrations."""
