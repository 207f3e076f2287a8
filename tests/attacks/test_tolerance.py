"""What a server sends that is odd and yet a whole instance is stored, reported, and marked for later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dicomdock.archive import Archive
from dicomdock.cli import main
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.transfer.pull import pull
from tests.builders import ct_series
from tests.dicomweb.awkward import Awkward
from tests.dicomweb.clients import client_of
from tests.servers.canned import Answer, Request
from tests.transfer.conftest import ended

BOUNDARY = "x"


def answer(data: bytes, declared: int) -> Answer:
    """Answer with one part whose header declares a length."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\nContent-Length: {declared}\r\n\r\n".encode()
    body = head + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
    return Answer(200, body, {"Content-Type": kind})


BLOCK = 64
ODD = {
    "longer than declared": lambda data: (data, len(data) - 10),
    "shorter than declared": lambda data: (data, len(data) + 10),
    "bytes behind the data set": lambda data: (data + bytes(range(17)), len(data) + 17),
    "the last block twice": lambda data: (data + data[-BLOCK:], len(data)),
    "a block of the pixels twice": lambda data: (
        data[:-10] + data[-10 - BLOCK : -10] + data[-10:],
        len(data),
    ),
}


@pytest.mark.parametrize("odd", ODD)
def test_it_is_reported_and_marked(
    settings: Settings, odd: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (made,) = ct_series(1)
    data, declared = ODD[odd](made.data)
    server = Awkward([made])

    def serve(request: Request) -> Answer | None:
        if request.path.endswith(("/series/" + made.series, "/instances/" + made.instance)):
            return answer(data, declared)
        return server(request)

    with Archive.open(settings) as archive, client_of(serve, settings) as client:
        report = ended(pull(client, archive, [Resource(made.study)], settings))
        assert report.received == 1
        (one,) = archive.instances(Resource(made.study))
        assert one.path.read_bytes() == data
        assert one.remarks
        assert all(any(remark in warning for warning in report.warnings) for remark in one.remarks)
        (finding,) = archive.verify()
        assert (finding.status, finding.remarks) == ("intact", one.remarks)
    for path in settings.archive.glob("index.sqlite*"):
        path.unlink()
    for words, found in (
        (["verify"], lambda document: document["remarks"][0]["remarks"]),
        (["list", made.study], lambda document: document["matches"][0]["remarks"]),
    ):
        document = run(capsys, words)
        assert found(document) == list(one.remarks)


def run(capsys: pytest.CaptureFixture[str], words: list[str]) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)
