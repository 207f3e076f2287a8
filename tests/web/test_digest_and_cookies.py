"""Logins by challenge, and cookies: what a 401 asks for, and what a server wants to have back."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.config.servers import ServerProfile
from dicomdock.dicomweb import Client
from dicomdock.errors import AuthenticationError
from dicomdock.web.auth import BasicAuth, NoAuth
from dicomdock.web.cookies import Cookies
from dicomdock.web.digest import Challenge, answer, challenges, schemes
from dicomdock.web.url import Url
from tests.builders import ct_series
from tests.dicomweb.awkward import Awkward
from tests.dicomweb.clients import parts_of
from tests.servers.canned import Answer, answering
from tests.servers.forms import Digest, Sticky, storing


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_standard(algorithm, response):
    """RFC 7616 §3.9.1."""
    challenge = Challenge.parse(
        'Digest realm="http-auth@example.org", qop="auth, auth-int", '
        f'algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    header = answer(
        challenge,
        "GET",
        "/dir/index.html",
        "Mufasa",
        "Circle of Life",
        count=1,
        client_nonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert f'response="{response}"' in header
    assert "nc=00000001" in header


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="a, b", Digest realm="x", nonce="1"', ("Basic", "Digest")),
        ('Digest realm="x", qop="auth,auth-int", nonce="1", algorithm=MD5', ("Digest",)),
        ("Negotiate", ("Negotiate",)),
        ("Negotiate, NTLM", ("Negotiate", "NTLM")),
        ('Bearer realm="dcm4che"', ("Bearer",)),
        ("", ()),
    ],
)
def test_the_schemes_of_a_challenge_are_named(header, expected):
    assert schemes(header) == expected


AMONG_OTHERS = {
    "another realm behind": ("", ', Bearer realm="other", error="invalid_token", nonce="none"'),
    "another realm before": ('Bearer realm="other", scope="a, Digest realm=x", ', ""),
    "a token": ("Negotiate YII=abc==, ", ", NTLM"),
    "no algorithm that is known": ('Digest realm="pacs", nonce="x", algorithm=SHA3-512, ', ""),
}


@pytest.mark.parametrize("among", AMONG_OTHERS)
def test_a_digest_challenge_is_found_among_others(among, settings):
    before, after = AMONG_OTHERS[among]
    with answering(Digest(Awkward(), before=before, after=after)) as canned:
        assert searched(canned.url, BasicAuth("alice", "se:cret"), settings) == 200


def test_an_answer_covers_the_body_where_the_server_wants_it(settings):
    made = ct_series(2)
    behind = Awkward()
    server = Digest(storing(behind), qop='qop="auth-int", ')
    with answering(server) as canned:
        auth = BasicAuth("alice", "se:cret", digest_only=True)
        with Client(ServerProfile("pacs", canned.url), settings=settings, auth=auth) as client:
            assert {one.status for one in client.store(parts_of(made))} == {"stored"}
            assert len(list(client.retrieve(made[0].resource))) == 1
    assert [one.data for one in behind.instances] == [one.data for one in made]


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,9}", fullmatch=True)
CHALLENGES = st.lists(
    st.tuples(
        NAMES, st.dictionaries(NAMES.map(str.lower), st.text('ab ,="\\\\Digest', max_size=12), max_size=4)
    ),
    max_size=4,
)


@pytest.mark.slow
@given(CHALLENGES)
def test_every_challenge_of_a_header_is_read(offered):
    def quoted(text):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    header = ", ".join(
        f"{scheme} {', '.join(f'{name}={quoted(text)}' for name, text in values.items())}".strip()
        for scheme, values in offered
    )
    assert challenges(header) == [(scheme, values) for scheme, values in offered]


@given(st.text())
def test_no_challenge_breaks_the_reader(header):
    schemes(header)
    Challenge.parse("Digest " + header)


def searched(url, auth, settings):
    with Client(ServerProfile("pacs", url), settings=settings, auth=auth) as client:
        for _ in range(6):
            response = client.session.http.request("GET", "/studies", query=[("PatientName", "Doe^J*")])
            response.discard()
        return response.status


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", ['qop="auth", ', ""])
def test_a_digest_login_works_and_takes_new_nonces(algorithm, qop, settings):
    server = Digest(Awkward(), algorithm, qop)
    with answering(server) as canned:
        assert searched(canned.url, BasicAuth("alice", "se:cret"), settings) == 200
        if curl := shutil.which("curl"):  # the judge of the server itself
            command = [curl, "-s", "--digest", "-u", "alice:se:cret", "-o", "/dev/null", "-w", "%{http_code}"]
            ran = subprocess.run(
                [*command, f"{canned.url}/studies"], capture_output=True, text=True, check=True
            )
            assert ran.stdout == "200"


def test_a_digest_login_never_sends_the_password(settings):
    server = Digest(Awkward())
    with answering(server) as canned:
        assert searched(canned.url, BasicAuth("alice", "se:cret", digest_only=True), settings) == 200
    assert not any("Basic" in request.headers.get("Authorization", "") for request in server.asked)


def test_a_wrong_password_is_tried_once_and_named(settings):
    server = Digest(Awkward())
    with answering(server) as canned, pytest.raises(AuthenticationError, match="Digest as alice"):
        searched(canned.url, BasicAuth("alice", "wrong"), settings)
    assert len(server.asked) == 2


def test_the_scheme_that_a_server_asks_for_is_named(settings):
    def reply(_):
        return Answer(401, b"", {"WWW-Authenticate": "Negotiate, NTLM"})

    with answering(reply) as canned, pytest.raises(AuthenticationError, match="asks for Negotiate or NTLM"):
        searched(canned.url, NoAuth(), settings)


def test_a_sticky_cookie_is_sent_back(settings):
    with answering(Sticky(Awkward())) as canned:
        assert searched(canned.url, NoAuth(), settings) == 200


def test_cookies_go_where_they_belong():
    cookies, url = Cookies(), Url.parse("http://pacs.example/dicom-web/studies?x=1")
    cookies.store(
        url,
        [
            "a=1",
            "b=2; Path=/",
            "c=3; Path=/other",
            "d=4; Secure; Path=/",
            "e=5; Domain=evil.example",
            "f=6; Domain=pacs.example; Path=/",
            "g=7; Max-Age=0; Path=/",
            "h=8; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
            "i=9; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/",
            "j=10; Max-Age=soon; Path=/",
            "__Host-k=11; Path=/",
            "__Secure-l=12; Path=/",
            "nonsense",
            "=x",
        ],
    )
    assert sorted(cookies.header(url)[0].split("; ")) == ["a=1", "b=2", "f=6", "j=10"]
    assert sorted(cookies.header(Url.parse("http://pacs.example/dicom"))[0].split("; ")) == [
        "b=2",
        "f=6",
        "j=10",
    ]
    cookies.store(url, ["b=; Path=/; Max-Age=0"])
    assert "b=" not in cookies.header(url)[0]


def test_secure_cookies_go_where_nobody_listens():
    lines = [
        "a=1; Secure",
        "__Host-b=2; Path=/; Secure",
        "__Secure-c=3; Secure; Domain=localhost",
        "__Host-d=4; Path=/; Secure; Domain=localhost",
        "__Host-e=5; Path=/x; Secure",
    ]
    for address in ("https://localhost/x/", "http://localhost/x/", "http://127.0.0.1/x/"):
        cookies = Cookies()
        cookies.store(Url.parse(address), lines if "localhost" in address else lines[:2])
        sent = sorted(cookies.header(Url.parse(address))[0].split("; "))
        assert sent == ["__Host-b=2", *(["__Secure-c=3"] if "localhost" in address else []), "a=1"]


@pytest.mark.slow
@given(st.lists(st.text(), max_size=5))
def test_no_cookie_breaks_the_jar_or_divides_the_header(headers):
    cookies, url = Cookies(), Url.parse("http://pacs.example/")
    cookies.store(url, headers)
    assert cookies.header(url)[0].isprintable()
