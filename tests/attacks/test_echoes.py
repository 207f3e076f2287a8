"""A server repeats what it was asked, in any form it likes, where an error shows its answer."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import replace
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, assume, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from dicomdock.config.servers import ServerProfile
from dicomdock.dicomweb.session import read_json
from dicomdock.errors import DicomdockError, WireError
from dicomdock.web.auth import BasicAuth, BearerAuth, HeaderAuth
from dicomdock.web.endpoint import Endpoint
from dicomdock.web.redaction import Redactor
from dicomdock.web.response import EXCERPT, MAX_DISCARDED
from dicomdock.web.transport import Http
from tests.servers.canned import Answer, answering

TOKEN = "s3cr3t/T0ken+with=signs~9f8e7d6c"
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=40)
LONG_SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=40)
FORMS = {
    "raw": str,
    "percent": lambda text: quote(text, safe=""),
    "every byte percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "json": lambda text: json.dumps(text)[1:-1],
    "json, slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json, numbers": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "html": html.escape,
    "html, numbers": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(letter):X};" for letter in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 within": lambda text: base64.b64encode(f"alice:{text} and more".encode()).decode(),
    "base64, percent": lambda text: quote(base64.b64encode(f"a:{text}".encode()).decode(), safe=""),
}


@pytest.mark.slow
@given(
    SECRETS,
    st.sampled_from(sorted(FORMS)),
    st.text('ab <>&%{}:"=', max_size=12),
    st.text('ab <>&%{}:"=', max_size=12),
)
def test_no_form_of_a_secret_is_left(secret, form, before, after):
    echoed = FORMS[form](secret)
    shown = Redactor([secret]).redact(f"{before}|{echoed}|{after}")
    for written in FORMS.values():
        # Two letters at either end of base64 depend on what is around them.
        assert written(secret)[2:-4] not in shown or len(written(secret)) < 12
    assert echoed not in shown
    assert "***" in shown


WHOLE = ("raw", "percent", "form", "json", "json, slashes", "html", "base64", "base64 within")


@pytest.mark.slow
@given(LONG_SECRETS, st.sampled_from(WHOLE), st.binary(max_size=40), st.binary(max_size=40))
def test_an_answer_that_holds_a_long_secret_is_known(secret, form, before, after):
    assert Redactor([secret]).is_repeated_in(before + FORMS[form](secret).encode() + after)


def test_data_keep_words_that_a_password_is_too(quick):
    """A password may be the name of a patient; only a whole long one proves that the answer repeats it."""
    match = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Radiology^Anna"}]}}
    honest = Answer(200, json.dumps([match]).encode(), {"Content-Type": "application/dicom+json"})
    for password in ("radiology", "Radiology-2024!"):
        with (
            answering(lambda _: honest) as server,
            Http(Endpoint("pacs", server.url), BasicAuth("alice", password), quick.connection) as http,
        ):
            assert read_json(http.request("GET", "/studies"), "the search") == [match]


@pytest.mark.slow
@given(st.text(max_size=60), SECRETS)
def test_what_is_not_a_secret_stays(text, secret):
    assume(not any(secret[:3] in written for written in (text,)))
    assume("%" not in text and "&" not in text and "\\" not in text)
    assert Redactor([secret]).redact(text) == text or base64.b64encode(secret.encode()).decode()[2:8] in text


def test_a_short_secret_is_hidden_as_a_word_only():
    assert Redactor(["ab"]).redact("alice:ab, about cab ab=1") == "alice:***, about cab ***=1"


@pytest.fixture
def quick(settings):
    return replace(settings, connect_timeout=10.0, read_timeout=30.0, retries=0)


@pytest.mark.parametrize(
    "auth",
    [BearerAuth(TOKEN), BasicAuth("alice", TOKEN), HeaderAuth({"X-Api-Key": TOKEN})],
    ids=lambda auth: type(auth).__name__,
)
@pytest.mark.parametrize("status", [400, 401, 404, 406, 500, 302])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_an_error_repeats_no_login(auth, status, form, quick):
    def echo(request):
        sent = request.headers.get("Authorization", request.headers.get("X-Api-Key", ""))
        body = f"You sent {sent}; decoded {FORMS[form](TOKEN)}".encode()
        return Answer(
            status,
            body,
            {"Location": f"http://elsewhere.example/{FORMS[form](TOKEN)}"} if status == 302 else {},
        )

    with (
        answering(echo) as server,
        Http(ServerProfile("pacs", server.url).endpoint, auth, quick.connection) as http,
        pytest.raises(DicomdockError) as caught,
    ):
        http.request("GET", "/studies")
    said = json.dumps([str(caught.value), {name: str(value) for name, value in vars(caught.value).items()}])
    for written in FORMS.values():
        assert written(TOKEN)[4:-6] not in said
    assert base64.b64encode(f"alice:{TOKEN}".encode()).decode()[:-6] not in said


def test_a_secret_at_the_edge_of_what_is_read_is_not_cut_into_sight(quick):
    """Tags are dropped, so that the edge may come to stand within the excerpt."""
    for place in (EXCERPT - 10, MAX_DISCARDED - 10):
        filler = b"<i>" * (place // 3) if place > EXCERPT else b"x" * place

        def echo(request, filler=filler):
            return Answer(500, filler + TOKEN.encode() + b" and more")

        with (
            answering(echo) as server,
            Http(ServerProfile("pacs", server.url).endpoint, BearerAuth(TOKEN), quick.connection) as http,
            pytest.raises(DicomdockError) as caught,
        ):
            http.request("GET", "/studies")
        assert TOKEN[:6] not in str(vars(caught.value))


def test_an_error_raised_while_an_answer_is_read_repeats_no_login(quick):
    with (
        answering(lambda request: Answer(200, TOKEN.encode())) as server,
        Http(ServerProfile("pacs", server.url).endpoint, BearerAuth(TOKEN), quick.connection) as http,
        pytest.raises(WireError) as caught,
        http.request("GET", "/studies") as response,
    ):
        raise WireError(f"Not JSON: {response.read()!r}")
    assert TOKEN not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.slow
@effort(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=24),
    form=st.sampled_from(sorted(FORMS)),
)
@example(password="0000%00'", form="html")
@example(password="a&amp;b%41c", form="percent")
@example(password="a\\u0041%41&lt;", form="json")
def test_no_password_is_repeated(password, form, quick):
    with (
        answering(lambda request: Answer(500, FORMS[form](password).encode())) as server,
        Http(
            ServerProfile("pacs", server.url).endpoint, BasicAuth("alice", password), quick.connection
        ) as http,
        pytest.raises(DicomdockError) as caught,
    ):
        http.request("GET", "/studies")
    assert FORMS[form](password) not in str(vars(caught.value))
