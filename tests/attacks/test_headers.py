"""Foreign text (a Transfer Syntax UID of a file, a name out of a link) tries to become a header field."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from dicomdock.config.servers import ServerProfile
from dicomdock.errors import InvalidInput
from dicomdock.sources import Part
from dicomdock.web.auth import NoAuth
from dicomdock.web.multipart.writer import MultipartBody
from dicomdock.web.transport import Http
from tests.dicomweb.sockets import Connection, listening

FOREIGN = st.text(st.sampled_from("ab \t\r\n\x00\x0b\x85\u2028\u00e9\u4e00:,;"), max_size=12)


def serve(connection: Connection) -> None:
    while connection.request():
        connection.say(body=b"[]")


@pytest.fixture
def quick(settings):
    return replace(settings, connect_timeout=10.0, read_timeout=30.0, retries=0)


@pytest.mark.slow
@effort(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=FOREIGN, place=st.sampled_from(["accept", "header", "part"]))
@example(text="1.2\r\nX-Evil: 1", place="accept")
@example(text="1.2\r\n\r\nX-Evil: 1", place="part")
def test_no_text_becomes_a_header_of_its_own(text, place, quick):
    evil = text + "\r\nX-Evil: 1"
    with (
        listening(serve) as server,
        Http(ServerProfile("pacs", server.url).endpoint, NoAuth(), quick.connection) as http,
    ):
        try:
            if place == "accept":
                http.request("GET", "/studies", accept=f"application/dicom; transfer-syntax={evil}").close()
            elif place == "header":
                http.request("GET", "/studies", headers={"X-Name": evil}).close()
            else:
                part = Part(f"application/dicom; transfer-syntax={evil}", lambda: iter([b"data"]), length=4)
                http.request("POST", "/studies", body=MultipartBody([part])).close()
        except InvalidInput as error:
            assert "line breaks" in str(error)
        lines = [line.lower() for request in server.asked for line in request.split(b"\n")]
        assert not any(line.startswith(b"x-evil") for line in lines)
