"""A server tries to send a login, or what is uploaded, on to another listener by what it calls a redirect.

Every form is one that some URL parser reads as another host than some other parser does. The other listener
is a real socket, and must see no connection at all.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from dicomdock.config.servers import ServerProfile
from dicomdock.dicomweb import urls
from dicomdock.errors import DicomdockError, TransactionError, WireError
from dicomdock.web import call as call_module
from dicomdock.web.auth import BasicAuth, BearerAuth, HeaderAuth
from dicomdock.web.multipart.writer import MultipartBody
from dicomdock.web.transport import Http
from tests.builders import ct_series
from tests.dicomweb.clients import parts_of
from tests.dicomweb.sockets import Connection, listening

SECRET = "tr0ub4dor-secret"
LOGINS = (BearerAuth(SECRET), BasicAuth("alice", SECRET), HeaderAuth({"X-Api-Key": SECRET}))

# {evil} and {own} stand for host:port, {port} for the evil port alone.
FORMS = (
    *(
        "http://{evil}/",
        "//{evil}/",
        "///{evil}/",
        "////{evil}/",
        "http:{evil}/",
        "http:/{evil}/",
        "http:///{evil}/",
    ),
    *("http://{evil}\\@{own}/", "//{evil}\\@{own}/", "http://{evil}\\\\@{own}/", "http:\\\\{evil}\\@{own}/"),
    *("http://{own}@{evil}/", "http://{own}\\@{evil}/", "http://{own}#@{evil}/", "http://{own}?@{evil}/"),
    *(
        "http://user:pw@{evil}/",
        "http://{evil}:80@{own}/",
        "\\\\{evil}/",
        "/\\{evil}/",
        "\\/{evil}/",
        "/\\/{evil}/",
    ),
    *(
        "\thttp://{evil}\\@{own}/",
        "ht\ttp://{evil}/",
        "/\t/{evil}/",
        "HTTP://{evil}\\@{own}/",
        " //{evil}/",
        "/ /{evil}/",
    ),
    *(
        "http://{evil}%2f@{own}/",
        "http://{evil}%5c@{own}/",
        "http://{own}%40{evil}/",
        "http://{evil}\x0b@{own}/",
    ),
    *(
        "\\:{port}@127.0.0.1:{port}/",
        "\\:80@{evil}/",
        "@{evil}/",
        ":{port}/",
        "http://[{evil}",
        "http://[::ffff:127.0.0.1]:{port}/",
    ),
    *(
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://127.1:{port}/",
        "http://\uff11\uff12\uff17.0.0.1:{port}/",
    ),
    *(
        "http://localhost:{port}/",
        "https://{evil}/",
        "javascript://{evil}/",
        "file://{evil}/etc/passwd",
        "http://[bad",
    ),
    *(
        "http://\u2460\u2461\u2466.0.0.1:{port}/",
        "http://127\u30020\u30020\u30021:{port}/",
        "http://017700000001:{port}/",
        "http://0:{port}/",
        "http://127.0.0.1.:{port}/",
        "http://localhost.:{port}/",
        "http://[::ffff:7f00:1]:{port}/",
    ),
    *(
        "http://{own};@{evil}/",
        "http://{own}&@{evil}/",
        "http://{own}\xa0@{evil}/",
        "http://{own}\x00@{evil}/",
        "http://{own}\u2028@{evil}/",
        "http://{own}.@{evil}/",
    ),
    *(
        "blob:http://{evil}/",
        "gopher://{evil}/",
        "ws://{evil}/",
        "?\n//{evil}/",
        ".//\\{evil}/",
        "%2f%2f{evil}/",
    ),
)


def serve(connection: Connection) -> None:
    while connection.request():
        connection.say(body=b"[]")


def sent_on(own_form, status):
    """Send every request on, as the bytes of the header say; whoever comes back is answered."""

    def script(connection: Connection) -> None:
        while request := connection.request():
            if b" /dicom-web/studies" in request.split(b"\r\n")[0]:
                connection.sock.sendall(
                    f"HTTP/1.1 {status} Moved\r\nContent-Length: 0\r\nLocation: ".encode()
                    + own_form()
                    + b"\r\n\r\n"
                )
            else:
                connection.say(body=b"[]")

    return script


def attack(form: str, status: int, auth, settings, *, body=None):
    """Ask a server that redirects; return what the other listener saw, and how it ended."""
    location = b""
    with listening(serve) as evil, listening(sent_on(lambda: location, status)) as own:
        hosts = {"evil": evil.url[7:].split("/")[0], "own": own.url[7:].split("/")[0]}
        text = form.replace("{port}", hosts["evil"].rpartition(":")[2])
        for name, host in hosts.items():
            text = text.replace(f"{{{name}}}", host)
        location = text.encode("utf-8")
        ended = None
        with Http(ServerProfile("pacs", own.url).endpoint, auth, settings.connection) as http:
            try:
                http.request("GET" if body is None else "POST", "/studies", body=body).close()
            except DicomdockError as error:
                ended = error
        return evil.connections, ended


@pytest.fixture
def quick(settings, monkeypatch):
    monkeypatch.setattr(call_module, "FIRST_WAIT", 0.01)
    return replace(settings, connect_timeout=10.0, read_timeout=30.0, retries=0)


@pytest.mark.parametrize("form", FORMS, ids=ascii)
def test_a_login_goes_nowhere_else(form, quick):
    for auth in LOGINS:
        connections, ended = attack(form, 302, auth, quick)
        assert connections == 0
        assert ended is None or SECRET not in str(ended)


@pytest.mark.parametrize("form", FORMS[:12], ids=ascii)
def test_a_body_goes_nowhere_else(form, quick):
    body = MultipartBody(list(parts_of(ct_series(count=1))))
    for status in (307, 308):
        assert attack(form, status, LOGINS[0], quick, body=body)[0] == 0


PIECES = [
    "http:",
    "HTTP:",
    "https:",
    "//",
    "/",
    "\\",
    "@",
    "{evil}",
    "{own}",
    ":",
    "#",
    "?",
    "\t",
    " ",
    "%2f",
    ".",
    "x",
]


@pytest.mark.slow
@effort(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join),
    auth=st.sampled_from(LOGINS),
)
@example(form="http://{evil}\\@{own}/", auth=LOGINS[0])
def test_no_made_up_form_leads_a_login_astray(form, auth, quick):
    assert attack(form, 302, auth, quick)[0] == 0


@pytest.mark.parametrize("location", ["http://[bad", "http://[::1", "http://a:b:c/", "http://:80/", "\x01"])
def test_a_redirect_to_nothing_is_an_error_of_the_answer(location, quick):
    _, ended = attack(location, 302, LOGINS[0], quick)
    assert isinstance(ended, TransactionError)
    assert "not followed" in str(ended)
    assert ended.status == 302


def test_a_redirect_within_the_origin_is_followed_whatever_its_letters(quick):
    for form in (
        "/other",
        "http://{own}/other?a=b\\c",
        "//{own}/other",
        "HTTP://{own}/a b",
        "../x#frag",
        "http://{own}",
    ):
        assert attack(form, 302, LOGINS[0], quick) == (0, None)


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "http://evil.example\\@pacs.example/dicom-web/bulk/1",
            "//evil.example\\@pacs.example/dicom-web/bulk/1",
        ),
        *(
            "http://user@pacs.example/dicom-web/bulk/1",
            "http://pacs.example\t/dicom-web/bulk/1",
            "http://[bad",
        ),
        *("http://evil.example/bulk/1", "//evil.example/bulk/1", "///evil.example/x", "http:evil.example/x"),
    ],
)
def test_an_address_in_metadata_leads_nowhere_else(uri):
    with pytest.raises(WireError):
        urls.rebuild(uri, "http://pacs.example/dicom-web")
