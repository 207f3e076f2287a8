"""Targets over HTTP: a server's answers to our client, and requests to our server."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import threading
from ast import literal_eval
from contextlib import suppress
from pathlib import Path

from dicomdock.config.settings import Settings
from tests.fuzz.targets import Target, found_before
from tests.fuzz.tokens import ANSWERS, REQUESTS, SPLIT
from tests.fuzz.wire import instance_json, related_parts, store_answer

UIDS = b"1.2.3", b"1.2.4", b"1.2.5"


def answered(
    body: bytes, kind: str = "application/dicom+json", status: str = "200 OK", more: str = ""
) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode("latin-1") + body


OPERATIONS = (
    "search studies",
    "search series",
    "metadata",
    "retrieve",
    "rendered",
    "bulk",
    "frames",
    "store",
    "delete",
)


class _Scripted:
    """A server of raw bytes: each connection is answered by the next script and closed."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        self.script: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        count = 0
        while True:
            connection, _ = self._socket.accept()
            with suppress(OSError), connection:
                connection.settimeout(1)
                asked = b""
                while b"\r\n\r\n" not in asked and (block := connection.recv(1 << 16)):
                    asked += block
                script = self.script or [b""]
                connection.sendall(script[count % len(script)])
                count += 1
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(0.2)
                while connection.recv(1 << 16):
                    pass


def answers(folder: Path) -> Target:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.dicom.query import Query
    from dicomdock.dicom.resource import Resource
    from dicomdock.dicomweb import Client
    from dicomdock.sources import Part

    server = _Scripted()
    settings = Settings(
        folder / "c", folder / "a", folder / "s", connect_timeout=5.0, read_timeout=5.0, retries=0
    )
    profile = ServerProfile("fuzzed", f"http://127.0.0.1:{server.port}/dicom-web")
    study, instance = Resource("1.2.3"), Resource("1.2.3", "1.2.4", "1.2.5")
    rows = json.dumps([instance_json()]).encode()
    many = json.dumps(
        [instance_json(**{"0020000D": {"vr": "UI", "Value": [f"1.2.{at}"]}}) for at in range(40)]
    ).encode()
    packed = gzip.compress(rows)
    related = 'multipart/related; type="application/dicom"; boundary=x'
    operations = {name: bytes([65 + at]) for at, name in enumerate(OPERATIONS)}
    seeds = [
        operations["search studies"] + answered(many) + SPLIT + answered(b"[]"),
        operations["search series"]
        + answered(rows, more='Warning: 299 x "There are 7 additional results"\r\n')
        + SPLIT
        + answered(b"", status="204 x"),
        operations["metadata"] + answered(packed, more="Content-Encoding: gzip\r\n"),
        operations["retrieve"] + answered(related_parts(), related),
        operations["rendered"] + answered(b"\xff\xd8\xff\xe0" + bytes(40), "image/jpeg"),
        operations["bulk"] + answered(bytes(40), "application/octet-stream"),
        operations["frames"]
        + answered(related_parts(), 'multipart/related; type="application/octet-stream"; boundary=x'),
        operations["store"] + answered(json.dumps(store_answer()).encode(), status="202 Accepted"),
        operations["delete"]
        + answered(b"<html><style>a</style><p>no</p></html>", "text/html", "403 Forbidden"),
        operations["search studies"]
        + answered(b"", status="302 x", more="Location: /dicom-web/other\r\n")
        + SPLIT
        + answered(rows),
    ]
    style = answered(b"<style" * 11_000, "text/html", "500 x")

    def cases() -> list[bytes]:
        return [
            operations["search studies"] + style,
            operations["search studies"] + answered(many),  # the same page for ever
            operations["metadata"]
            + answered(gzip.compress(b"[" + b" " * (60 << 20) + b"]"), more="Content-Encoding: gzip\r\n"),
            operations["metadata"]
            + answered(gzip.compress(b"[" + b"{}," * (8 << 20) + b"{}]"), more="Content-Encoding: gzip\r\n"),
            operations["metadata"]
            + answered(gzip.compress(b"[" + b"[]," * (8 << 20) + b"{}]"), more="Content-Encoding: gzip\r\n"),
            operations["search studies"] + answered(b"", status="301 x", more="Location: http://[bad\r\n"),
            *(operations["search studies"] + _scripted(one) for one in found_before("crash-qido")),
            *(operations["bulk"] + answered(bytes(40), "x/y") + one for one in found_before("crash-misc")),
        ]

    def read(data: bytes) -> None:
        operation = OPERATIONS[(data[0] - 65) % len(OPERATIONS)] if data else OPERATIONS[0]
        server.script = data[1:].split(SPLIT)
        with Client(profile, settings=settings) as client:
            if operation.startswith("search"):
                for page in client.search(Query(operation.removeprefix("search "))):
                    for match in page.matches:
                        repr(match)
            elif operation == "metadata":
                list(client.metadata(Resource("1.2.3", "1.2.4")))
            elif operation == "retrieve":
                for part in client.retrieve(study):
                    sum(map(len, part.chunks()))
            elif operation == "rendered":
                client.rendered(instance)
            elif operation == "bulk":
                for part in client.bulk(f"{profile.url}/{data[-40:].decode('latin-1')}", instance):
                    sum(map(len, part.chunks()))
            elif operation == "frames":
                for part in client.frames(Resource("1.2.3", "1.2.4", "1.2.5", (1,))):
                    sum(map(len, part.chunks()))
            elif operation == "store":
                list(client.store([Part("application/dicom", lambda: iter([_file]), len(_file))]))
            else:
                client.delete(instance)

    from tests.builders import ct_series

    _file = ct_series(1)[0].data
    return Target(seeds, [read], ANSWERS, cases, json=True)


def _scripted(case: bytes) -> bytes:
    """Return the answers of a case that was found before: (kind, [(status, headers, body), ...])."""
    _, replies = literal_eval(case.decode())
    written = []
    for status, fields, body in replies:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        written.append(f"HTTP/1.1 {status} x\r\n{lines}\r\n".encode("latin-1", "replace") + body)
    return SPLIT.join(written)


class _Failed(logging.Handler):
    """Remembers what the server logged as its own failure."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.error = record.exc_info[1] if record.exc_info else None


def stow(folder: Path) -> Target:
    from dicomdock.archive import Archive
    from dicomdock.origin.app import create_app
    from tests.builders import ct_series, deflated_bomb, document

    settings = Settings(folder / "c", folder / "a", folder / "s", free_space_floor=0)
    archive = Archive.open(settings)
    app = create_app(archive)
    failed = _Failed()
    log = logging.getLogger("dicomdock")
    log.addHandler(failed)
    log.propagate = False
    loop = asyncio.new_event_loop()
    made = [ct_series(1)[0], document()]
    label = b'Content-Type: multipart/related; type="application/dicom"; boundary=x\r\nAccept: */*\r\n\r\n'
    part = b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n"
    first, second = (one.data for one in made)
    whole = b"POST /dicom-web/studies\r\n" + label + part + first + part + second + b"\r\n--x--\r\n"
    where = made[0].resource.path
    seeds = [
        whole,
        b"POST /dicom-web/studies\r\nContent-Type: application/dicom\r\n\r\n" + first,
        b"GET /dicom-web/studies?PatientName=D*&limit=5&includefield=all\r\n\r\n",
        b"GET /dicom-web/instances?StudyDate=20240101-20240301&fuzzymatching=true&offset=0\r\n\r\n",
        f"GET /dicom-web{where}\r\nAccept: multipart/related; transfer-syntax=*\r\n\r\n".encode(),
        f"GET /dicom-web{where}/metadata\r\n\r\n".encode(),
        f"GET /dicom-web{where}/frames/1\r\nAccept: application/octet-stream\r\n\r\n".encode(),
        f"GET /dicom-web{where}/rendered?window=4,9,linear\r\nAccept: image/png\r\n\r\n".encode(),
        f"GET /wado?requestType=WADO&studyUID={made[0].study}&seriesUID={made[0].series}".encode()
        + f"&objectUID={made[0].instance}\r\n\r\n".encode(),
    ]

    def cases() -> list[bytes]:
        return [
            b"POST /dicom-web/studies\r\nContent-Type: application/dicom\r\n\r\n" + one
            for one in (
                deflated_bomb(made[0], 256 << 20),
                *found_before("crash-stow", "crash-header", "bad-"),
            )
        ]

    def read(data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, _, address = first.partition(b" ")
        # No parser of HTTP lets other bytes through in a target.
        address = bytes(byte if 0x20 < byte < 0x7F else 0x5F for byte in address)
        path, _, query = address.partition(b"?")
        headers = [
            (name.strip().lower(), value.strip())
            for name, mark, value in (line.partition(b":") for line in lines)
            if mark
        ]
        failed.error = None
        method = method if method in (b"GET", b"POST", b"HEAD") else b"POST"
        status = loop.run_until_complete(asked(app, method.decode(), path, query, headers, body))
        if failed.error is not None:
            raise failed.error
        assert status < 500 or status == 503, f"the server answered {status}"

    read(whole)
    return Target(seeds, [read], REQUESTS, cases)


async def asked(
    app, method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> int:
    """Send one request to an ASGI application, and return the status of its whole answer."""
    blocks = iter([body])
    status = 0
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "root_path": "",
        "path": path.decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"127.0.0.1"), *headers],
    }
    ended = asyncio.Event()

    async def receive() -> dict[str, object]:
        block = next(blocks, None)
        if block is None:
            await ended.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": block, "more_body": False}

    async def send(message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif not message.get("more_body"):
            ended.set()

    await app(scope, receive, send)
    return status
