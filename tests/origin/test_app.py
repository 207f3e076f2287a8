"""The application around the transactions: tokens, pages of other origins, the names it answers to."""

import socket

import pytest
import urllib3

from dicomdock.archive import Archive
from dicomdock.errors import WireError
from dicomdock.sources import Part
from tests import builders
from tests.origin.running import serving


@pytest.fixture
def guarded(settings):
    with (
        Archive.open(settings) as archive,
        serving(archive, token="s3cret", cors=["https://viewer.example"]) as running,
    ):
        yield running


def test_without_the_token_nothing_is_answered(guarded):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
        response = guarded.ask("/dicom-web/studies", headers=headers)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert guarded.ask("/dicom-web/studies", headers={"Authorization": "Bearer s3cret"}).status == 200
    assert guarded.ask("/", headers={"Authorization": "bearer s3cret"}).status == 200


def test_pages_of_named_origins_may_ask_and_others_not(guarded):
    preflight = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "Authorization"}
    mine = guarded.ask(
        "/dicom-web/studies", method="OPTIONS", headers={"Origin": "https://viewer.example", **preflight}
    )
    assert mine.status == 200
    assert mine.headers["Access-Control-Allow-Origin"] == "https://viewer.example"
    other = guarded.ask(
        "/dicom-web/studies", method="OPTIONS", headers={"Origin": "https://evil.example", **preflight}
    )
    assert "Access-Control-Allow-Origin" not in other.headers


def test_on_loopback_only_loopback_names_are_answered(settings):
    with Archive.open(settings) as archive, serving(archive, hosts=["localhost", "127.0.0.1"]) as running:
        assert running.ask("/dicom-web/studies").status == 200
        assert running.ask("/dicom-web/studies", headers={"Host": "rebound.example"}).status == 400


def test_the_root_says_where_the_service_is(server):
    assert server.url in server.ask("/").data.decode()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("PUT", "/dicom-web/studies", 405), ("GET", "/nowhere", 404)]
)
def test_what_is_not_a_transaction_is_refused(server, method, path, status):
    assert server.ask(path, method=method).status == status


@pytest.mark.slow
def test_a_client_that_goes_away_leaves_the_server_well(server, caplog):
    stored = builders.ct_series(40, rows=512, columns=512)
    server.add(*(made.data for made in stored))
    host, port = server.root.removeprefix("http://").split(":")
    request = (
        f"GET /dicom-web/studies/{stored[0].study} HTTP/1.1\r\nHost: {host}\r\n"
        'Accept: multipart/related; type="application/dicom"; transfer-syntax=*\r\n\r\n'
    )
    for _ in range(3):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(request.encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert server.ask("/dicom-web/studies").status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


class Breaking:
    """A source whose connection ends after one instance."""

    name = "breaking"

    def __init__(self, rows: int) -> None:
        (self.made,) = builders.ct_series(1, rows=rows, columns=512)

    def retrieve(self, resource):
        yield Part("application/dicom", lambda: iter((self.made.data,)), length=len(self.made.data))
        raise WireError("The server's answer ended before it was complete.")


def test_an_answer_that_fails_in_the_middle_ends_without_its_end(caplog):
    with serving(Breaking(1024)) as running:
        with pytest.raises(urllib3.exceptions.HTTPError):
            running.ask(
                "/dicom-web/studies/1.2", 'multipart/related; type="application/dicom"; transfer-syntax=*'
            )
        assert running.ask("/").status == 200
    assert "ended before it was complete" in caplog.text


def test_an_answer_that_fails_before_anything_was_sent_has_a_status():
    with serving(Breaking(5)) as running:
        answer = running.ask("/dicom-web/studies/1.2", "*/*")
    assert answer.status == 502
    assert "ended before it was complete" in answer.data.decode()


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/dicom-web/studies", {"GET", "HEAD", "POST"}),
        ("/dicom-web/studies/1.2", {"GET", "HEAD", "POST", "DELETE"}),
        ("/dicom-web/studies/1.2/series/1.3", {"GET", "HEAD", "DELETE"}),
        ("/dicom-web/studies/1.2/metadata", {"GET", "HEAD"}),
        ("/wado", {"GET", "HEAD"}),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_method_that_is_not_offered_is_answered_with_those_that_are(server, method, path, allowed):
    refused = server.ask(path, method=method)
    assert refused.status == 405
    assert {name.strip() for name in refused.headers["Allow"].split(",")} == {*allowed, "OPTIONS"}
    asked = server.ask(path, method="OPTIONS")
    assert asked.status == 204
    assert asked.headers["Allow"] == refused.headers["Allow"]


def test_doubled_slashes_are_one(server):
    made = builders.ct_series(1)[0]
    server.add(made.data)
    for path in (
        "/dicom-web//studies",
        "/dicom-web///studies",
        f"/dicom-web//studies//{made.study}/metadata",
    ):
        answer = server.ask(path, "application/dicom+json")
        assert (answer.status, len(answer.json())) == (200, 1)
