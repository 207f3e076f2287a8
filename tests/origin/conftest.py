"""A running origin server for every test of this folder that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from tests.origin.running import Running, serving


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve one archive for all tests of a module: starting takes longer than most of them."""
    folder = tmp_path_factory.mktemp("origin")
    settings = Settings(folder / "config", folder / "archive", folder / "state", free_space_floor=0)
    with Archive.open(settings) as archive, serving(archive) as running:
        yield running


@pytest.fixture
def server(running: Running) -> Iterator[Running]:
    """Yield the server with an empty archive."""
    yield running
    for page in running.archive.search(Query("studies")):
        for match in page.matches:
            running.archive.delete(Resource(text(match.attributes, "StudyInstanceUID")))
