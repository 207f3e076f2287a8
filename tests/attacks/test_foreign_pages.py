"""A page of another site lets the user's browser send what needs no preflight to a server without token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TypeAlias

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.origin.app import create_app
from tests.builders import ct_series
from tests.fuzz.exchange import asked

Sent: TypeAlias = tuple[str, bytes, bytes, bytes]  # method, path, body, media type
FOREIGN = (b"http://attacker.example", b"null", b"http://127.0.0.1:9", b"http://127.0.0.1.attacker.example")
SUBSCRIBER = b"/workitems/1.2.840.10008.5.1.4.34.5/subscribers/ATTACKER"
SENT = (
    ("POST", b"/studies", ct_series(1)[0].data, b"application/dicom"),
    ("POST", b"/workitems", json.dumps([]).encode(), b"text/plain"),
    ("POST", SUBSCRIBER, b"", b""),
    ("POST", SUBSCRIBER + b"/suspend", b"", b""),
    ("POST", b"/workitems/1.2.3/cancelrequest", b"", b""),
    ("PUT", b"/workitems/1.2.3/state", b"{}", b"application/dicom+json"),
    ("DELETE", b"/studies/1.2.3", b"", b""),
)


@pytest.fixture
def archive(settings: Settings) -> Iterator[Archive]:
    with Archive.open(settings) as opened:
        yield opened


def answered(
    archive: Archive, sent: tuple[str, bytes, bytes, bytes], origin: bytes, **options: object
) -> int:
    method, path, body, kind = sent
    headers = [(b"origin", origin)] if origin else []
    headers += [(b"content-type", kind)] if kind else []
    app = create_app(archive, **options)  # type: ignore[arg-type]
    return asyncio.run(asked(app, method, b"/dicom-web" + path, b"", headers, body))


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("sent", SENT)
def test_it_changes_nothing(archive: Archive, sent: Sent, origin: bytes) -> None:
    assert answered(archive, sent, origin) == 403


@pytest.mark.parametrize("origin", [b"", b"http://127.0.0.1"])
def test_programs_and_pages_of_the_server_itself_do(archive: Archive, origin: bytes) -> None:
    assert answered(archive, SENT[2], origin) == 201


def test_pages_that_may_use_the_server_do(archive: Archive) -> None:
    viewer = "https://viewer.example"
    assert answered(archive, SENT[2], viewer.encode(), cors=[viewer]) == 201
    assert answered(archive, SENT[2], FOREIGN[0], cors=[viewer]) == 403
