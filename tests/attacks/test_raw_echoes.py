"""A server repeats the login where only a malformed answer can: status lines, header lines, chunk sizes,
codings, redirects, beyond a cut, in small letters. Whatever a command then prints, logs or stores is searched
for any eight letters of it in a row.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from dicomdock.config.servers import ServerProfile
from dicomdock.dicom import json_model
from dicomdock.dicomweb import store_response
from dicomdock.dicomweb.auth.issuer import ClientCredentials, Issuer, Refused, TokenClient
from dicomdock.errors import DicomdockError
from dicomdock.sources import DicomJson
from dicomdock.web import call
from dicomdock.web.auth import Auth, BasicAuth, BearerAuth, HeaderAuth
from dicomdock.web.endpoint import Endpoint, Proxy
from dicomdock.web.redaction import Redactor
from dicomdock.web.transport import Http
from dicomdock.web.words import without_tags
from tests.builders import ct_series
from tests.cli.conftest import Run, run  # noqa: F401
from tests.machine import processor_time
from tests.servers.canned import Answer, answering
from tests.servers.raw import RawRequest, answering_raw

SECRET = "pA55+w/ord=with~signs-9f8e"
BASIC = base64.b64encode(f"alice:{SECRET}".encode()).decode()
RUN = 8  # letters of a secret that nobody may see in a row

Reply = Callable[[RawRequest], list[bytes]]


def head(status: str, fields: str = "", length: object = 0) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{fields}\r\n".encode(
        "latin-1"
    )


def answer(status: str, body: bytes, fields: str = "") -> list[bytes]:
    return [head(status, fields, len(body)), body]


def named_by(text: str) -> DicomJson:
    """Return a match with the text in the place of its UIDs, once with separators that none can have."""
    uids = {"0020000D": f"/{text}", "0020000E": text, "00080018": f"{text}\\", "00080016": text}
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}


JSON = "Content-Type: application/dicom+json\r\n"
TOKENISH = SECRET.replace("/", "").replace("=", "")
ALL = f"{SECRET} {BASIC} {TOKENISH}"
REPLIES: dict[str, Reply] = {
    "a status line that is none": lambda _: [f"{ALL}\r\n\r\n".encode()],
    "an unknown HTTP version": lambda _: [f"HTTP/9.9 x {ALL}\r\n\r\n".encode()],
    "a status line cut within it": lambda _: [f"HTTP/1.1 abc {'x' * 178}{SECRET}\r\n\r\n".encode()],
    "a reason phrase": lambda _: [head(f"500 {ALL}")],
    "header lines that are none": lambda _: [
        f"HTTP/1.1 200 OK\r\n{JSON}Broken {ALL}\r\nX: {ALL}\r\nContent-Length: 2\r\n\r\n[]".encode()
    ],
    "a length that is none": lambda _: [head("200 OK", JSON, SECRET), b"[]"],
    "a chunk size that is none": lambda _: [
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n{SECRET}\r\n[]\r\n".encode()
    ],
    "a content coding": lambda _: [head("200 OK", f"{JSON}Content-Encoding: {SECRET}\r\n", 2), b"[]"],
    "a media type": lambda _: [head("200 OK", f"Content-Type: {SECRET}/{TOKENISH}\r\n", 4), b"abcd"],
    "the type of parts": lambda _: [
        head("200 OK", f'Content-Type: multipart/related; type="{SECRET}"; boundary={SECRET}\r\n', 4),
        b"abcd",
    ],
    "a body under the first letters": lambda _: answer("200 OK", f"Basic {BASIC}".encode(), JSON),
    "broken JSON": lambda _: answer("200 OK", f'[{{"a": "{SECRET}", {BASIC}'.encode(), JSON),
    "names in JSON": lambda _: answer(
        "200 OK", json.dumps([{SECRET: 1, "00080018": {"vr": SECRET, "Value": BASIC}}, 1]).encode(), JSON
    ),
    "broken XML": lambda _: answer(
        "409 C",
        f"<?xml version='1.0'?><NativeDicomModel a='{BASIC}'>&{SECRET};".encode(),
        "Content-Type: application/dicom+xml\r\n",
    ),
    "behind blanks up to a cut": lambda _: answer("409 C", b" " * 32756 + SECRET.encode()),
    "small letters": lambda _: answer("400 B", f"{SECRET} {BASIC}".lower().encode()),
    "UTF-16": lambda _: answer("400 B", SECRET.encode("utf-16")),
    "lines of base64": lambda _: answer("400 B", base64.encodebytes(b"x" * 41 + f"alice:{SECRET}".encode())),
    "hexadecimal": lambda _: answer("500 B", SECRET.encode().hex().upper().encode()),
    "tags around it": lambda _: answer("500 B", b"<p " * 9000 + b">" + SECRET.encode()),
    "names of letters": lambda _: answer(
        "400 B", SECRET.replace("+", "&plus;").replace("=", "&equals;").encode()
    ),
    "the scheme that is asked for": lambda _: [
        head("401 U", f'WWW-Authenticate: {TOKENISH} x, Basic realm="{SECRET}"\r\n')
    ],
    "when to ask again": lambda _: [head("503 S", f"Retry-After: {SECRET}\r\n")],
    "a warning": lambda _: answer(
        "200 OK", b"[]", f'{JSON}Warning: 299 x "{ALL}"\r\nX-Total-Count: {SECRET}\r\n'
    ),
    "UIDs of matches": lambda _: answer(
        "200 OK", json.dumps([named_by(SECRET), named_by(BASIC)]).encode(), JSON
    ),
    "a redirect to nothing": lambda request: (
        [] if "pA55" in request.target else [head("307 T", f"Location: /x/{quote(SECRET, safe='')}\r\n")]
    ),
    "a redirect elsewhere": lambda _: [
        head("307 T", f"Location: http://{quote(SECRET, safe='')}.example/{SECRET}\r\n")
    ],
    "a redirect that is none": lambda _: [head("302 F", f"Location: ht!tp:{SECRET}\\@\r\n")],
    "parts": lambda _: answer(
        "200 OK",
        f"--b\r\nContent-Type: {SECRET}\r\nContent-Length: {SECRET}\r\n\r\n{ALL}\r\n--b--".encode(),
        'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n',
    ),
}


def shown(secret: str, text: str) -> Iterator[str]:
    """Yield what of a secret is in a text: runs of its letters, in the forms that a server may send."""
    text = text.lower()
    encoded = secret.encode()
    for form in (secret, quote(secret, safe=""), base64.b64encode(encoded).decode(), encoded.hex()):
        for at in range(len(form) - RUN + 1):
            if form[at : at + RUN].lower() in text:
                yield form[at : at + RUN]


def told(error: BaseException) -> str:
    """Return everything that an error may show, with the errors that led to it."""
    facts = [f"{vars(one)}" for one in _chain(error)]
    return "".join(traceback.format_exception(error)) + "".join(facts)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.fixture
def quick(settings):
    return replace(settings, connect_timeout=10.0, read_timeout=30.0, retries=0)


@pytest.mark.parametrize("form", sorted(REPLIES))
def test_no_answer_makes_an_error_show_it(form, quick, caplog):
    caplog.set_level(logging.DEBUG)
    with (
        answering_raw(REPLIES[form]) as server,
        Http(Endpoint("pacs", server.url), BasicAuth("alice", SECRET), quick.connection) as http,
    ):
        texts = []
        try:
            with http.request("GET", "/studies", allow=(409,)) as response:
                texts.append(response.warning)
                content = response.read()
                store_response.read(response.status, response.content_type, content, "pacs")
                outcome = store_response.read(
                    response.status, response.content_type, content, "pacs", redact=response.redact
                )
                texts.append(outcome.reason)
                json_model.parse(content, response.content_type, what="the search")
        except DicomdockError as error:
            texts.append(told(error))
    assert server.asked
    assert any(texts) or caplog.text
    assert not list(shown(SECRET, "".join(texts) + caplog.text))
    assert BASIC[:12] not in "".join(texts) + caplog.text


@pytest.mark.parametrize("form", [*sorted(REPLIES)[::6], "a body under the first letters"])
@pytest.mark.slow
def test_no_command_prints_or_stores_it(form, run: Run, home: Path, tmp_path: Path, caplog, monkeypatch):  # noqa: F811
    monkeypatch.setattr(call, "FIRST_WAIT", 0.001)
    caplog.set_level(logging.DEBUG)
    image = ct_series(1)[0]
    file = tmp_path / "image.dcm"
    file.write_bytes(image.data)
    with answering_raw(REPLIES[form]) as server:
        login = ("--user", "alice", "--password-stdin", "--untested")
        ran = [run("server", "add", "pacs", server.url, *login, stdin=SECRET)]
        for words in (
            ("import", file),
            ("search", "-v"),
            ("search", "--all", "--json"),
            ("pull", "1.2.3", "--json"),
            ("pull", "1.2.3/1.2.4/1.2.5", "--json"),
            ("push", file, "--json"),
            ("push", image.study, "--verify", "-v"),
            ("server", "test", "pacs", "--write", "--json"),
            ("doctor", "pacs", "-v"),
            ("transfers", "list", "--json"),
            ("server", "show", "pacs", "--json"),
        ):
            ran.append(run(*words))
    printed = caplog.text + "".join(one.out + one.err for one in ran)
    assert len(server.asked) > 5
    assert not list(shown(SECRET, printed))
    for stored in home.rglob("*"):
        if stored.is_file() and stored.name != "secrets.json":
            assert not list(shown(SECRET, stored.read_bytes().decode("latin-1"))), stored


@pytest.mark.parametrize(
    ("auth", "secret"),
    [
        (HeaderAuth({"Authorization": f"Token {SECRET}"}), SECRET),
        (HeaderAuth({"Cookie": f"theme=dark; session={SECRET}"}), SECRET),
        (HeaderAuth({"Authorization": f"Basic {BASIC}"}), SECRET),
        (BearerAuth(SECRET), SECRET),
        (BasicAuth("alice", "pässword with umlauts"), "ssword with umlauts"),
    ],
    ids=["a word behind a scheme", "a cookie among others", "Basic by hand", "token", "umlauts"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_part_of_a_header_is_a_secret_too(auth: Auth, secret: str, encoding: str, quick):
    echo = secret if secret == SECRET else "pässword with umlauts"
    with (
        answering(lambda _: Answer(500, echo.encode(encoding))) as server,
        Http(Endpoint("pacs", server.url), auth, quick.connection) as http,
        pytest.raises(DicomdockError) as caught,
    ):
        http.request("GET", "/studies")
    assert not list(shown(secret, told(caught.value)))


@pytest.mark.parametrize("answered", ["error", "nothing", "tunnel"])
def test_a_proxy_may_repeat_its_login(answered: str, quick, caplog):
    """The proxy's password is not part of the request, and must not be shown either."""
    caplog.set_level(logging.DEBUG)
    replies: dict[str, Reply] = {
        "error": lambda _: answer(f"407 {SECRET}", f"{SECRET} {BASIC}".encode()),
        "nothing": lambda _: [f"{SECRET}\r\n\r\n".encode()],
        "tunnel": lambda _: [head(f"407 {ALL}", f"X: {SECRET}\r\n")],
    }
    url = "https://pacs.example" if answered == "tunnel" else "http://pacs.example"
    with answering_raw(replies[answered]) as proxy:
        endpoint = Endpoint("pacs", url, proxy=Proxy(proxy.url, "alice", SECRET))
        with (
            Http(endpoint, BearerAuth("another-token"), quick.connection) as http,
            pytest.raises(DicomdockError) as caught,
        ):
            http.request("GET", "/studies")
    assert proxy.asked
    assert not list(shown(SECRET, told(caught.value) + caplog.text))
    assert not list(shown(BASIC, told(caught.value) + caplog.text))


@pytest.mark.parametrize("basic", [True, False])
@pytest.mark.parametrize("field", ["error", "error_description", "error_uri"])
def test_an_issuer_may_repeat_the_client_secret(basic: bool, field: str, quick):
    """Basic sends it form-encoded; who decodes it repeats other letters than were sent (RFC 6749 §2.3.1)."""
    table = {"error": "invalid_client", "error_description": "x", field: f"{SECRET} {quote_plus(SECRET)}"}
    with answering(lambda _: Answer(400, json.dumps(table).encode())) as server:
        client = TokenClient(ServerProfile("pacs", server.url), quick)
        issuer = Issuer(server.url, token_endpoint=f"{server.url}/token", basic=basic)
        credentials = ClientCredentials("dicomdock", SECRET)
        with pytest.raises(Refused) as caught:
            client.token(issuer, credentials, {"code": "c0de-c0de-c0de"}, "the sign-in")
    assert not list(shown(SECRET, told(caught.value) + caught.value.code))


def test_names_of_users_stay():
    login = BasicAuth("researcher", SECRET)
    sent = login.authorize(_request())
    assert Redactor(sent.secrets).redact("refused for researcher at 1.2.840.10008") == (
        "refused for researcher at 1.2.840.10008"
    )


def _request():
    from dicomdock.web.request import Request
    from dicomdock.web.url import Url

    return Request("GET", Url.parse("http://pacs.example/studies"))


def test_dropping_tags_takes_one_pass():
    """64 kB of openings took 3 s each before; now the work grows with the length alone."""
    for unit in ("<style ", "<style>", "<style </script ", "<", "<script><style>"):
        text = (unit * (1 << 16))[: 1 << 16]
        with processor_time(at_most=1):
            without_tags(text)
    page = "<html><style>p {}</style><b>One</b><script>if (a < b)</script> two<br/>three <stylé> a < b"
    assert " ".join(without_tags(page).split()) == "One two three a < b"


def test_errors_are_masked_with_those_that_led_to_them():
    from dicomdock.errors import WireError

    try:
        try:
            json.load(io.StringIO(SECRET))
        except ValueError as error:
            inner = ValueError(f"b: {SECRET}".encode(), error)
            raise WireError(f"Broken: {SECRET}") from inner
    except WireError as error:
        Redactor([SECRET]).redact_error(error)
        assert not list(shown(SECRET, told(error)))
