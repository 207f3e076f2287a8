"""A real origin server on loopback, over an archive of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import urllib3
import uvicorn

from dicomdock.archive import Archive
from dicomdock.origin.app import create_app
from dicomdock.sources import Part
from tests.waiting import join


@dataclass(frozen=True)
class Running:
    """A running origin server: its addresses, and its archive behind it."""

    root: str
    archive: Archive

    @property
    def url(self) -> str:
        """The DICOMweb base URL."""
        return f"{self.root}/dicom-web"

    def add(self, *instances: bytes) -> None:
        """Put instances into the archive."""
        with self.archive.writer() as writer:
            for data in instances:
                writer.add(Part("application/dicom", lambda data=data: iter((data,)), length=len(data)))

    def ask(self, path: str, accept: str = "*/*", method: str = "GET", **options) -> urllib3.BaseHTTPResponse:
        """Send one request to a path below the root, and read the whole answer."""
        headers = {"Accept": accept, **options.pop("headers", {})}
        return urllib3.request(
            method, self.root + path, headers=headers, retries=False, timeout=60, **options
        )


@contextmanager
def serving(archive: Archive, **options) -> Iterator[Running]:
    """Serve an archive by HTTP until the block ends."""
    config = uvicorn.Config(
        create_app(archive, **options),
        host="127.0.0.1",
        port=0,
        ws="websockets-sansio",
        log_level="warning",
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:  # uvicorn tells it in no other way
            assert thread.is_alive() and time.monotonic() < deadline
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Running(f"http://127.0.0.1:{port}", archive)
    finally:
        server.should_exit = True
        join(thread)
