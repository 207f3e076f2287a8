"""Another server published as ours: everything passes through, with addresses that point here."""

from io import BytesIO

import pydicom
import pytest

from dicomdock.config.servers import ServerProfile
from dicomdock.dicomweb import Client
from dicomdock.sources import Part
from dicomdock.web.multipart.reader import read_parts
from dicomdock.web.multipart.writer import MultipartBody
from tests import builders
from tests.origin.running import serving
from tests.servers.canned import Answer, answering

JSON = "application/dicom+json"


@pytest.fixture
def proxy(server, settings):
    with Client(ServerProfile("behind", server.url), settings=settings) as client, serving(client) as proxy:
        yield proxy


def bodies(response):
    assert response.status == 200, response.data
    return [b"".join(part.chunks()) for part in read_parts([response.data], response.headers["Content-Type"])]


@pytest.mark.slow
def test_what_lies_behind_is_found_and_retrieved_as_if_it_lay_here(server, proxy):
    stored = builders.ct_series(3)
    server.add(*(made.data for made in stored))
    (match,) = proxy.ask("/dicom-web/series", JSON).json()
    address = match["00081190"]["Value"][0]
    assert address.startswith(proxy.url)
    series = address.removeprefix(proxy.root)
    everything = bodies(proxy.ask(series, 'multipart/related; type="application/dicom"; transfer-syntax=*'))
    assert sorted(everything) == sorted(made.data for made in stored)
    one = f"/dicom-web{stored[0].resource.path}"
    assert proxy.ask(one, "application/dicom; transfer-syntax=*").data == stored[0].data
    assert bodies(proxy.ask(one + "/frames/1")) == [stored[0].dataset.PixelData]
    assert proxy.ask(series + "/thumbnail").data[:2] == b"\xff\xd8"
    (described,) = proxy.ask(one + "/metadata", JSON).json()
    bulk = described["7FE00010"]["BulkDataURI"]
    assert bulk.startswith(proxy.url)
    assert (
        proxy.ask(bulk.removeprefix(proxy.root), "application/octet-stream").data
        == stored[0].dataset.PixelData
    )


@pytest.mark.slow
def test_what_is_stored_and_deleted_here_is_so_behind(server, proxy):
    (made,) = builders.ct_series(1)
    body = MultipartBody([Part("application/dicom", lambda: iter((made.data,)), length=len(made.data))])
    response = proxy.ask(
        "/dicom-web/studies",
        JSON,
        "POST",
        body=b"".join(body.chunks()),
        headers={"Content-Type": body.content_type},
    )
    assert response.status == 200
    kept = server.ask(f"/dicom-web{made.resource.path}", "application/dicom; transfer-syntax=*").data
    assert pydicom.dcmread(BytesIO(kept)).SOPInstanceUID == made.instance
    assert proxy.ask(f"/dicom-web/studies/{made.study}", method="DELETE").status == 204
    assert server.ask("/dicom-web/studies", JSON).json() == []


@pytest.mark.slow
def test_what_is_not_there_and_what_is_away_are_distinguished(proxy, settings):
    assert proxy.ask("/dicom-web/studies/1.2/metadata").status == 404
    away = ServerProfile("away", "http://127.0.0.1:9/dicom-web")
    with Client(away, settings=settings) as client, serving(client) as running:
        assert running.ask("/dicom-web/studies", JSON).status == 502


@pytest.mark.slow
def test_what_a_server_sends_instead_of_an_instance_is_not_passed_on(settings):
    (made,) = builders.ct_series(1)
    body = MultipartBody(
        [
            Part("application/dicom", lambda data=data: iter((data,)), length=len(data))
            for data in (b"GET /studies HTTP/1.1\r\nAuthorization: Basic YWxpY2U6c2VjcmV0", made.data)
        ]
    )
    content = b"".join(body.chunks())
    wrong = Answer(200, content, {"Content-Type": body.content_type})
    with (
        answering(lambda _: wrong) as behind,
        Client(ServerProfile("behind", behind.url), settings=settings) as client,
        serving(client) as running,
    ):
        wanted = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        assert bodies(running.ask(f"/dicom-web/studies/{made.study}", wanted)) == [made.data]
        refused = running.ask(f"/dicom-web{made.resource.path}", "application/dicom; transfer-syntax=*")
        assert refused.status == 502
        assert b"YWxp" not in refused.data
        assert b"not a DICOM instance" in refused.data
