"""The archive on SQLite and on a throw-away PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.sources import Part
from tests.conftest import unavailable
from tests.servers import postgresql as postgresql_server
from tests.servers import s3
from tests.servers.s3 import S3

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)]


def part(data: bytes, *, chunk: int = 1 << 16) -> Part:
    """Return a part as it comes from the wire: once, in chunks."""
    chunks = iter([data[start : start + chunk] for start in range(0, len(data), chunk)])
    return Part("application/dicom", lambda: chunks)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL of the tests' own behind a socket, and give the URL without the database's name."""
    if postgresql_server.programs() is None:
        unavailable("PostgreSQL", postgresql_server.INSTALL)
    with postgresql_server.running() as url:
        yield url


@pytest.fixture
def new_database(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Yield a function that makes an empty PostgreSQL database and gives its URL."""
    import psycopg

    url = request.getfixturevalue("postgresql")
    made: list[str] = []
    with psycopg.connect(url.format(database="postgres"), autocommit=True) as server:

        def make() -> str:
            name = f"test_{os.getpid()}_{id(made)}_{len(made)}"
            server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            made.append(name)
            return url.format(database=name)

        yield make
        for name in made:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=DATABASES)
def archive_settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Return settings of an empty archive, once for each database."""
    if request.param == "sqlite":
        return settings
    return replace(settings, database=request.getfixturevalue("new_database")())


@pytest.fixture
def archive(archive_settings: Settings) -> Iterator[Archive]:
    """Yield an empty archive."""
    with Archive.open(archive_settings) as opened:
        yield opened


@pytest.fixture
def stored_settings(archive_settings: Settings, bucket: S3) -> Settings:
    """Return settings of an empty archive in a bucket, once for each database."""
    return replace(archive_settings, object_store=f"s3://{s3.BUCKET}/some/prefix")
