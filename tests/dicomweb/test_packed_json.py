"""JSON that packs well: asked for again without compression, so that its size is what was received."""

from __future__ import annotations

import gzip
import json

import pytest

from dicomdock.dicom import json_model, xml_model
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InflatesTooFar, WireError
from tests.dicomweb.clients import client_of
from tests.servers.canned import Answer, Request

SERIES = Resource("1.2.3", "1.2.4")


def _rows(count: int) -> bytes:
    row = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00081030": {"vr": "LO", "Value": ["x" * 1000]}}
    return json.dumps([row] * count).encode()


def _kind(request: Request, body: bytes) -> Answer:
    if "gzip" in {name.lower(): value for name, value in request.headers.items()}["accept-encoding"]:
        return Answer(200, gzip.compress(body), {"Content-Encoding": "gzip"})
    return Answer(200, body)


@pytest.mark.slow
def test_honest_json_that_packs_very_well_is_read_without_compression(settings):
    body = _rows(30_000)  # 32 MB, 90 kB on the wire
    asked: list[str] = []

    def server(request: Request) -> Answer:
        asked.append(dict(request.headers)["Accept-Encoding"])
        return _kind(request, body)

    with client_of(server, settings) as client:
        assert len(list(client.metadata(SERIES))) == 30_000
        assert len(list(client.metadata(SERIES))) == 30_000
    assert asked == ["gzip", "identity", "identity"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "ask",
    [lambda client: list(client.metadata(SERIES)), lambda client: list(client.search(Query("studies")))],
)
def test_json_that_is_packed_whatever_is_asked_is_refused(settings, ask):
    answer = Answer(200, gzip.compress(_rows(30_000)), {"Content-Encoding": "gzip"})
    with client_of(lambda _: answer, settings) as client, pytest.raises(InflatesTooFar):
        ask(client)


@pytest.mark.parametrize("filling", [b"{},", b"[],", b'{"a":0},'])
def test_json_of_brackets_is_refused_before_it_becomes_objects(filling):
    with pytest.raises(WireError, match="brackets"):
        json_model.parse(b"[" + filling * (1 << 20) + b"{}]")


@pytest.mark.parametrize("filling", [b"<a/>", b'<a b=""/>'])
def test_xml_of_brackets_is_refused_before_it_becomes_objects(filling):
    with pytest.raises(WireError, match="brackets"):
        xml_model.from_xml(b"<x>" + filling * (1 << 20) + b"</x>")


@pytest.mark.slow
def test_a_large_honest_document_is_read():
    attribute = '"%08X":{"vr":"SH"}'
    row = "{" + ",".join(attribute % tag for tag in range(0x00080000, 0x00080064)) + "}"
    assert len(json_model.parse(("[" + ",".join([row] * 5000) + "]").encode())) == 5000
