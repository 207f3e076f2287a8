"""No loop, of the origin server or the dock, is held for 0.1 s by what it is sent or asked for."""

from __future__ import annotations

import asyncio
import gc
import time
from unittest.mock import Mock

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from dicomdock.archive import Archive
from dicomdock.dicom.part10 import identify
from dicomdock.dock.services.uploads import Uploads
from dicomdock.origin.app import create_app
from dicomdock.sources import Part
from tests.builders import ct_series, deflated_bomb
from tests.fuzz.exchange import asked
from tests.fuzz.objects import many_items, nested
from tests.machine import slowness

HELD = 0.1  # seconds of processor time between two turns of the loop, on a machine that is not a slow one
DICOM = [(b"content-type", b"application/dicom"), (b"accept", b"application/dicom+json")]


class Heartbeat:
    """Wakes up again and again, and notes the longest stretch that the loop's thread worked in between.

    Processor time of the thread, not time of the clock: a busy machine lets the loop wait without holding it.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._beats = 0

    async def beat(self) -> None:
        while True:
            begun = time.thread_time()
            await asyncio.sleep(0.002)
            self.longest = max(self.longest, time.thread_time() - begun)
            self._beats += 1

    async def next(self) -> None:
        """Wait for the next beat."""
        beats = self._beats
        while self._beats == beats:
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_objects_of_other_tests():
    """Spare the garbage collector what thousands of earlier tests left: walking it takes 0.4 s."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def _watched(work) -> float:
    heart = Heartbeat()
    beating = asyncio.create_task(heart.beat())
    await heart.next()
    await work()
    await heart.next()
    beating.cancel()
    return heart.longest


@pytest.mark.slow
def test_a_loop_that_is_held_is_noticed():
    async def holds() -> None:
        begun = time.thread_time()
        while time.thread_time() - begun < 2 * HELD:
            pass

    assert asyncio.run(_watched(holds)) > HELD


@pytest.fixture
def archive(settings):
    with Archive.open(settings) as opened:
        yield opened


def _stored(archive: Archive, *files: bytes) -> None:
    with archive.writer() as writer:
        for data in files:
            writer.add(Part("application/dicom", lambda data=data: iter((data,)), length=len(data)))


@pytest.mark.slow
def test_uploads_do_not_hold_the_loop(archive):
    app = create_app(archive)
    image = ct_series(1)[0]
    head = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
    related = [(b"content-type", b'multipart/related; type="application/dicom"; boundary=x')]
    uploads = {
        "deflated": (DICOM, deflated_bomb(image, 256 << 20)),
        "items": (DICOM, many_items(110_000, undefined=False)),
        "items of undefined length": (DICOM, many_items(60_000, undefined=True)),
        "nested": (DICOM, nested(image.data, 1000)),
        "large": (DICOM, image.data + bytes(64 << 20)),
        "parts": (related, (head + image.data + b"\r\n") * 300 + b"--x--\r\n"),
        "headers": (related, b"--x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n\r\n--x--\r\n"),
    }

    async def send() -> None:
        for name, (headers, body) in uploads.items():
            status = await asked(app, "POST", b"/dicom-web/studies", b"", headers, body)
            assert status in (200, 202, 400, 409), name

    assert asyncio.run(_watched(send)) < HELD * slowness()


@pytest.mark.slow
def test_files_that_a_page_sends_do_not_hold_the_loop(archive, settings):
    uploads = Uploads(asyncio.to_thread, Mock(settings=settings, archive=archive), Mock(), Mock())
    routes = [
        Route("/uploads", uploads.begin, methods=["POST"]),
        Route("/uploads/{batch}", uploads.receive, methods=["POST"]),
    ]
    app, image = Starlette(routes=routes), ct_series(1)[0]
    files = {
        "deflated": deflated_bomb(image, 256 << 20),
        "items": many_items(60_000, undefined=True),
        "nested": nested(image.data, 1000),
        "large": image.data + bytes(64 << 20),
        **{f"{number}": image.data for number in range(300)},
    }

    async def send() -> None:
        assert await asked(app, "POST", b"/uploads", b"", [], b"") == 201
        (key,) = uploads._batches
        for name, data in files.items():
            query = f"name={name}".encode()
            assert await asked(app, "POST", f"/uploads/{key}".encode(), query, [], data) == 204, name
        assert len(uploads._batches[key].files) == len(files)

    assert asyncio.run(_watched(send)) < HELD * slowness()


@pytest.mark.slow
def test_answers_do_not_hold_the_loop(archive):
    crowded, series = many_items(60_000, undefined=True), ct_series(400)
    _stored(archive, crowded)
    known = identify(crowded[: 1 << 16])
    assert known is not None
    _stored(archive, *(one.data for one in series))
    app = create_app(archive)
    whole = f"/dicom-web/studies/{series[0].study}".encode()
    paths = [
        (b"/dicom-web/instances", b"includefield=all"),
        (b"/dicom-web/studies", b"PatientName=" + b"*" * 60),
        (whole, b""),
        (whole + b"/metadata", b""),
        (whole + b"/rendered", b""),
        (f"/dicom-web/studies/{known.study}/metadata".encode(), b""),
    ]

    async def ask() -> None:
        for path, query in paths:
            assert await asked(app, "GET", path, query, [], b"") == 200, path

    assert asyncio.run(_watched(ask)) < HELD * slowness()
