"""The sources that must keep the contract: the archive, and the client on three servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import uvicorn

from dicomdock.archive import Archive
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicomweb import Client
from dicomdock.origin.app import create_app
from dicomdock.sources import DicomSource
from dicomdock.web.auth import BasicAuth, NoAuth
from tests.servers import s3
from tests.waiting import join


@dataclass(frozen=True)
class Case:
    """A source and where it may differ.

    Parameters
    ----------
    deletes : it deletes; else UnsupportedByServer.
    root_series : series and instances can be searched without naming the study.
    metadata : it gives metadata.
    rewrites : it writes the file meta information anew; the data set is the same.
    """

    source: DicomSource
    deletes: bool = True
    root_series: bool = True
    metadata: bool = True
    rewrites: bool = False


@contextmanager
def _origin(settings: Settings) -> Iterator[str]:
    """Run our origin server over an archive of its own."""
    with Archive.open(settings) as archive:
        config = uvicorn.Config(create_app(archive), host="127.0.0.1", port=0, ws="none", log_level="warning")
        server = uvicorn.Server(config)
        started = threading.Event()
        startup = server.startup

        async def tell(*args: object, **options: object) -> None:
            await startup(*args, **options)  # type: ignore[arg-type]
            started.set()

        server.startup = tell  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        assert started.wait(60)
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}/dicom-web"
        finally:
            server.should_exit = True
            join(thread)


def _archive(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Case]:
    with Archive.open(settings) as archive:
        yield Case(archive)


def _object_store(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Case]:
    request.getfixturevalue("bucket")
    yield from _archive(request, replace(settings, object_store=f"s3://{s3.BUCKET}/contract"))


def _own_origin(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Case]:
    with (
        _origin(settings) as url,
        Client(ServerProfile("own", url), settings=settings, auth=NoAuth()) as client,
    ):
        yield Case(client)


def _orthanc(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Case]:
    server = request.getfixturevalue("orthanc")
    profile = ServerProfile("orthanc", server.url)
    with Client(profile, settings=settings, auth=BasicAuth(server.user, server.password)) as client:
        yield Case(client, deletes=False)


def _tiny_pacs(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Case]:
    server = request.getfixturevalue("tiny_pacs")
    with Client(ServerProfile("tiny", server.url), settings=settings, auth=NoAuth()) as client:
        yield Case(client, deletes=False, root_series=False, metadata=False, rewrites=True)


KINDS: dict[str, Callable[[pytest.FixtureRequest, Settings], Iterator[Case]]] = {
    "archive": _archive,
    "object-store": _object_store,
    "own-origin": _own_origin,
    "orthanc": _orthanc,
    "tiny-pacs": _tiny_pacs,
}


@pytest.fixture(
    params=[
        pytest.param(kind, marks=pytest.mark.servers if kind in ("orthanc", "tiny-pacs") else ())
        for kind in KINDS
    ]
)
def case(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Case]:
    """Yield each kind of source in turn, empty."""
    yield from KINDS[request.param](request, settings)
