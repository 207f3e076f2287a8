"""Clients that stall: they cost little, keep nobody else waiting, and do not keep the server from ending."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
import urllib3

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.errors import Unreachable
from dicomdock.origin.uploads import IDLE, MAX_UPLOADS, Uploads
from tests.builders import ct_series, write
from tests.programs import Program

CLIENTS = 40  # as many as took every thread of the pool
PLURAL = MAX_UPLOADS + 32  # more than there are slots, in however many processes


@dataclass(frozen=True)
class Served:
    """A running ``dicomdock serve``."""

    url: str
    program: Program

    def connection(self, stack: ExitStack) -> socket.socket:
        parts = urlsplit(self.url)
        opened = socket.create_connection((parts.hostname, parts.port), timeout=IDLE - 1)  # type: ignore[arg-type]
        return stack.enter_context(opened)

    @property
    def resident(self) -> int:
        """Bytes in memory."""
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) << 10


@contextmanager
def served(home: Path) -> Iterator[Served]:
    command = [
        sys.executable,
        "-m",
        "dicomdock.cli",
        "--home",
        home,
        "serve",
        "--port",
        "0",
        "--without-token",
    ]
    with Program(command) as program:
        line = program.line("http")
        yield Served(next(word for word in line.split() if word.startswith("http")), program)


def begin_upload(client: socket.socket) -> None:
    client.sendall(
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
        b'Content-Type: multipart/related; type="application/dicom"; boundary=x\r\n\r\n--x\r\n'
    )


@pytest.mark.slow
def test_uploads_that_stall_stop_no_answer_and_no_end(tmp_path: Path):
    with served(tmp_path) as server, ExitStack() as stack:
        for _ in range(CLIENTS):
            begin_upload(server.connection(stack))
        started = time.monotonic()
        for path in ("/studies", "/series", "/instances"):
            assert urllib3.request("GET", server.url + path, timeout=IDLE - 1, retries=False).status == 200
        assert time.monotonic() - started < IDLE  # none waited for the uploads to be given up
        server.program.signal(signal.SIGTERM)
        server.program.ends(IDLE)


@pytest.mark.slow
@pytest.mark.parametrize("clients", [CLIENTS, PLURAL])
def test_uploads_that_stall_keep_no_other_one_out(tmp_path: Path, clients: int):
    made = ct_series(1)[0]
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + made.data + b"\r\n--x--\r\n"
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
    with served(tmp_path) as server, ExitStack() as stack:
        for _ in range(clients):
            begin_upload(server.connection(stack))
        stored = urllib3.request(
            "POST", f"{server.url}/studies", body=body, headers=headers, timeout=IDLE - 1, retries=False
        )
        assert stored.status == 200


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_readers_that_stall_cost_little_and_do_not_keep_the_server_from_ending(tmp_path: Path):
    """500 of them cost 1.4 GB."""
    made = ct_series(12, rows=1024, columns=1024)
    with Archive.open(Settings.load(tmp_path)) as archive:
        for _ in archive.import_paths(write(tmp_path / "files", made)):
            pass
    request = (
        f"GET /dicom-web/studies/{made[0].study} HTTP/1.1\r\nHost: localhost\r\n"
        'Accept: multipart/related; type="application/dicom"; transfer-syntax=*\r\n\r\n'
    ).encode()
    count = 100
    with served(tmp_path) as server, ExitStack() as stack:
        with ExitStack() as first:  # what is loaded once
            client = server.connection(first)
            client.sendall(request)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        before = server.resident
        for _ in range(count):
            client = server.connection(stack)
            client.sendall(request)
            assert client.recv(12) == b"HTTP/1.1 200"
        assert server.resident - before < count * 1_200_000
        assert urllib3.request("GET", f"{server.url}/studies", timeout=IDLE - 1, retries=False).status == 200
        server.program.signal(signal.SIGTERM)
        server.program.ends(IDLE)


async def stalling(*blocks: bytes) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block
    await asyncio.Event().wait()


def test_what_came_is_used_and_what_does_not_come_is_given_up():
    used: list[bytes] = []

    def work(blocks: Iterator[bytes]) -> None:
        used.extend(blocks)

    async def store() -> None:
        await Uploads(idle=0.05).store(stalling(b"a" * (1 << 20), b"b"), work)

    with pytest.raises(Unreachable, match="stopped sending"):
        asyncio.run(store())
    assert b"".join(used) == b"a" * (1 << 20)


def test_drops_of_a_body_do_not_hold_a_place():
    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async def store() -> None:
        await Uploads(idle=0.1).store(drops(), lambda blocks: sum(map(len, blocks)))

    with pytest.raises(Unreachable, match="stopped sending"):
        asyncio.run(asyncio.wait_for(store(), 60))


def test_a_slot_goes_from_the_slowest_client_to_another_one_and_not_from_one_that_the_server_lets_wait():
    uploads = Uploads(grace=0.05, _limiter=anyio.CapacityLimiter(2))
    stored = threading.Event()

    def work(blocks: Iterator[bytes]) -> None:
        for _ in blocks:
            assert stored.wait(60)

    async def sent() -> AsyncIterator[bytes]:
        yield b"a" * (1 << 20)

    async def store() -> None:
        assert await uploads.admit()
        honest = asyncio.ensure_future(uploads.store(sent(), work))
        assert await uploads.admit()
        stalled = asyncio.ensure_future(uploads.store(stalling(b"b"), lambda blocks: b"".join(blocks)))
        await asyncio.sleep(0)
        assert await uploads.admit()
        with pytest.raises(Unreachable, match="too slowly while others"):
            await stalled
        another = asyncio.ensure_future(uploads.store(sent(), work))
        await asyncio.sleep(0)
        assert not await uploads.admit()
        stored.set()
        await asyncio.gather(honest, another)
        assert await uploads.admit()

    asyncio.run(asyncio.wait_for(store(), 60))


def test_a_body_comes_whole_and_in_order():
    async def body() -> AsyncIterator[bytes]:
        for number in range(200):
            yield bytes([number]) * 10_000

    found = asyncio.run(Uploads().store(body(), b"".join))
    assert found == b"".join(bytes([number]) * 10_000 for number in range(200))
