"""The sign-in against those who would like to be part of it: other pages, other programs, false issuers."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import ServerProfile
from dicomdock.dicom.query import Query
from dicomdock.dicomweb import connect
from dicomdock.dicomweb.auth import signing
from dicomdock.dicomweb.auth.browser import Listener
from dicomdock.dicomweb.auth.issuer import TokenClient
from dicomdock.dicomweb.auth.oidc import OidcAuth, OidcConfig, StoredLogin, azure_login
from dicomdock.errors import AuthenticationError, Cancelled, ProfileError, ServerFault, WireError
from tests.builders import ct_series
from tests.dicomweb.clients import login_fields, parts_of
from tests.dicomweb.signing import profile_at
from tests.servers.canned import Answer, answering
from tests.waiting import join

JSON = {"Content-Type": "application/json"}
ISSUER = "https://login.example"


@pytest.fixture(scope="module")
def key():
    return RSAKey.generate_key(2048, {"kid": "1"})


@dataclass
class FalseIssuer:
    """An issuer that says what a test tells it to; it answers a sign-in without asking anybody."""

    key: RSAKey
    claims: dict = field(default_factory=dict)
    described: dict = field(default_factory=dict)
    token: dict = field(default_factory=dict)
    answer: dict = field(default_factory=dict)
    signs: bool = True
    tokens_given: int = 0
    refusing: str = ""
    away: bool = False
    url: str = ""
    nonce: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request):
        path = urllib.parse.urlsplit(request.path).path
        if path == "/.well-known/openid-configuration":
            return self.json(
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                    **self.described,
                }
            )
        if path == "/keys":
            return self.json({"keys": [self.key.as_dict(private=False)]})
        if self.away:
            return Answer(503)
        if self.refusing:
            return self.json({"error": self.refusing, "error_description": "so <b>says</b> the test"}, 400)
        return self.json(self.tokens())

    def json(self, table, status=200):
        return Answer(status, json.dumps(table).encode(), JSON)

    def tokens(self):
        with self.lock:
            self.tokens_given += 1
            number = self.tokens_given
        claims = {
            "iss": self.url,
            "aud": "dicomdock",
            "sub": "17",
            "email": "alice@example.org",
            "exp": int(time.time()) + 60,
            "nonce": self.nonce,
            **self.claims,
        }
        signer = self.key if self.signs else RSAKey.generate_key(2048)
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, signer)
        usual = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "id_token": token}
        return {"token_type": "Bearer", "expires_in": 3600, **usual, **self.token}

    def browser(self, url):
        """Come back at once, as a browser that follows a redirect does."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        self.nonce = asked["nonce"]
        back = {"code": "c0de", "state": asked["state"], **self.answer}
        return open_page(f"{asked['redirect_uri']}?{urllib.parse.urlencode(back)}")


@pytest.fixture
def issuer(key):
    server = FalseIssuer(key)
    with answering(server) as canned:
        server.url = canned.url
        yield server


def kept_by(settings, profile):
    return StoredLogin.parse(Secrets(settings).get("pacs", profile.origin), profile.login.options["issuer"])


def open_page(url, host=""):
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


@pytest.fixture
def sign_in(issuer, settings):
    """Return a function that signs in at the false issuer, and gives what the last page said too."""
    pages = []

    def sign_in(**options):
        profile = profile_at("http://127.0.0.1:9/dicom-web", issuer.url, **options)
        threads = []

        def show(prompt):
            threads.append(
                threading.Thread(target=lambda: pages.append(issuer.browser(prompt.url)), daemon=True)
            )
            threads[-1].start()

        try:
            return signing.sign_in(profile, Secrets(settings), settings, show=show, seconds=60)
        finally:
            for thread in threads:
                join(thread)

    sign_in.pages = pages
    return sign_in


def test_a_sign_in_tells_the_browser_how_it_ended(sign_in, issuer, settings):
    profile = sign_in()
    assert profile.login.user == "alice@example.org"
    ((status, page, headers),) = sign_in.pages
    assert status == 200
    assert "You are signed in" in page
    assert "c0de" not in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert kept_by(settings, profile).refresh_token == "refresh-1"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"nonce": "of another sign-in"}, "answers another sign-in"),
        ({"aud": "somebody-else"}, "for another program"),
        ({"aud": ["dicomdock", "other"], "azp": "other"}, "for another program"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "expired"),
    ],
)
def test_an_id_token_that_is_not_for_this_sign_in_is_refused(claims, why, sign_in, issuer, settings):
    issuer.claims = claims
    with pytest.raises(AuthenticationError, match=why):
        sign_in()
    assert "did not succeed" in sign_in.pages[0][1]
    assert not (settings.config / "secrets.json").exists()


def test_an_id_token_that_somebody_else_signed_is_refused(sign_in, issuer):
    issuer.signs = False
    with pytest.raises(AuthenticationError, match="signature"):
        sign_in()


@pytest.mark.parametrize(
    ("token", "error", "words"),
    [
        ({"id_token": None}, AuthenticationError, "is missing"),
        ({"id_token": "not.a.token"}, AuthenticationError, "signature"),
        ({"access_token": None}, WireError, "no Bearer token"),
        ({"token_type": "mac"}, WireError, "no Bearer token"),
        ({"refresh_token": None}, AuthenticationError, "offline_access"),
    ],
)
def test_an_answer_that_lacks_something_is_refused(token, error, words, sign_in, issuer, settings):
    issuer.token = token
    with pytest.raises(error, match=words):
        sign_in()
    assert not (settings.config / "secrets.json").exists()


def test_an_answer_of_another_issuer_is_refused_before_the_code_goes_anywhere(sign_in, issuer):
    issuer.answer = {"iss": "https://evil.example"}
    with pytest.raises(AuthenticationError, match="another issuer"):
        sign_in()
    assert issuer.tokens_given == 0


def test_a_refusal_is_reported_here_and_in_the_browser(sign_in, issuer):
    issuer.answer = {"code": "", "error": "access_denied", "error_description": "Not <today>\x1b[2J."}
    with pytest.raises(AuthenticationError, match="did not succeed: Not <today>") as caught:
        sign_in()
    assert "\x1b" not in str(caught.value)
    assert "Not &lt;today&gt;" in sign_in.pages[0][1]


def test_a_refusal_at_the_token_endpoint_is_reported(sign_in, issuer):
    issuer.refusing = "unauthorized_client"
    with pytest.raises(AuthenticationError, match="unauthorized_client"):
        sign_in()
    assert "<b>" not in sign_in.pages[0][1]


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"issuer": "https://evil.example"}, "of another name"),
        ({"token_endpoint": "http://login.example/token"}, "not https"),
        ({"token_endpoint": "file:///etc/passwd"}, "must begin with http"),
        ({"token_endpoint": None}, "no token endpoint"),
        ({"authorization_endpoint": None}, "--device"),
    ],
)
def test_a_description_that_cannot_be_trusted(described, words, sign_in, issuer):
    issuer.described = described
    with pytest.raises(ProfileError, match=words):
        sign_in()


def test_an_issuer_without_tls_is_not_asked(settings):
    with pytest.raises(ProfileError, match="not https"):
        TokenClient(ServerProfile("pacs", "https://pacs.example"), settings).discover("http://login.example")


def test_a_web_page_is_no_issuer(settings):
    with answering(lambda _: Answer(200, b"<html>Welcome</html>")) as canned:
        profile = ServerProfile("pacs", "https://pacs.example")
        with pytest.raises(WireError, match="not a JSON object"):
            TokenClient(profile, settings).discover(canned.url)


# The listener


@contextmanager
def listening(redirect="http://127.0.0.1/"):
    with Listener(redirect) as listener:
        yield listener


def test_only_the_answer_to_this_sign_in_is_taken_and_only_once():
    with listening() as listener:
        state = listener.state
        assert open_page(f"{listener.url}?code=x&state=guessed")[0] == 404
        assert open_page(f"{listener.url}?code=x")[0] == 404
        assert open_page(f"{listener.url}?code=x&state={state}&state=b")[0] == 404
        assert open_page(f"{listener.url}favicon.ico?state={state}")[0] == 404
        assert open_page(f"{listener.url}?code=x&state={state}", host="evil.example")[0] == 404
        real = f"{listener.url}?code=real&state={state}"
        first = threading.Thread(target=open_page, args=(real,), daemon=True)
        first.start()
        answer = listener.wait(threading.Event(), 60, ISSUER)
        assert answer["code"] == "real"
        assert open_page(real.replace("real", "second"))[0] == 410
        with listener.reporting(ISSUER):
            pass
        join(first)
    with pytest.raises(OSError):
        open_page(real)


def test_other_methods_are_turned_away():
    with listening() as listener:
        request = urllib.request.Request(f"{listener.url}?state={listener.state}&code=x", data=b"x")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=60)
        caught.value.close()
        assert caught.value.code == 501


def test_nobody_comes():
    with listening() as listener, pytest.raises(AuthenticationError, match="Nobody signed in"):
        listener.wait(threading.Event(), 0.1, ISSUER)


def test_it_is_given_up():
    given_up = threading.Event()
    given_up.set()
    with listening() as listener, pytest.raises(Cancelled):
        listener.wait(given_up, 10, ISSUER)


def test_the_redirect_is_kept_as_it_was_registered():
    with listening("http://localhost") as listener:
        assert listener.url.startswith("http://localhost:")
        assert listener.url.count("/") == 2
        port = listener.url.rpartition(":")[2]
        with pytest.raises(ProfileError, match="is taken"):
            Listener(f"http://127.0.0.1:{port}/")
    with listening("http://127.0.0.1/back/here") as listener:
        assert listener.url.endswith("/back/here")
        assert open_page(f"{listener.url.removesuffix('here')}?state={listener.state}")[0] == 404


@pytest.mark.parametrize(
    "redirect",
    ["https://127.0.0.1/", "http://evil.example/", "http://0.0.0.0/", "app:/x", "http://127.0.0.1/?a"],
)
def test_a_redirect_that_leads_away_is_refused(redirect):
    with pytest.raises(ProfileError, match="this computer"):
        Listener(redirect)


# Tokens in use


class Guarded:
    """A DICOMweb server that finds only the newest access token good."""

    def __init__(self, issuer):
        self.issuer = issuer
        self.bodies = []
        self.ends_after = 0

    def __call__(self, request):
        good = f"Bearer access-{self.issuer.tokens_given}"
        if request.headers.get("Authorization") != good or self.issuer.tokens_given <= self.ends_after:
            return Answer(401, b"", {"WWW-Authenticate": "Bearer"})
        self.bodies.append(request.body)
        return Answer(200, b"[]", {"Content-Type": "application/dicom+json"})


@pytest.mark.slow
def test_a_token_that_ends_before_its_time_is_renewed_once_and_the_upload_sent_again(issuer, settings):
    server, series = Guarded(issuer), ct_series(2)
    with answering(server) as canned:
        profile = profile_at(f"{canned.url}/dicom-web", issuer.url)
        Secrets(settings).set("pacs", profile.origin, StoredLogin("refresh-0", issuer=issuer.url).to_json())
        with connect(profile, settings) as client:
            assert list(client.search(Query())) is not None
            server.ends_after = issuer.tokens_given  # the issuer said an hour; it was not
            list(client.store(parts_of(series)))
    assert issuer.tokens_given == server.ends_after + 1
    assert any(all(one.data in body for one in series) for body in server.bodies)
    assert kept_by(settings, profile).refresh_token == "refresh-2"


def test_a_login_that_is_renewed_in_vain_is_refused_in_words(issuer, settings):
    server = Guarded(issuer)
    server.ends_after = 100
    with answering(server) as canned:
        profile = profile_at(f"{canned.url}/dicom-web", issuer.url)
        Secrets(settings).set(
            "pacs", profile.origin, StoredLogin("refresh-0", account="alice", issuer=issuer.url).to_json()
        )
        with connect(profile, settings) as client, pytest.raises(AuthenticationError) as caught:
            list(client.search(Query()))
    assert f"OpenID Connect at {issuer.url}" in str(caught.value)
    assert issuer.tokens_given == 2


@pytest.mark.parametrize("code", ["invalid_grant", "interaction_required"])
def test_an_issuer_that_wants_to_see_the_person_again(code, issuer, sign_in, settings):
    profile = sign_in()
    issuer.refusing = code
    with (
        connect(profile, settings) as client,
        pytest.raises(AuthenticationError, match="dicomdock server login pacs"),
    ):
        list(client.search(Query()))


def test_an_issuer_that_is_away_for_a_while_is_no_end_of_the_sign_in(issuer, sign_in, settings):
    profile, now = sign_in(), [1000.0]
    issuer.token = {"expires_in": 100}
    quick = replace(settings, retries=0)
    login = OidcAuth(profile, Secrets(settings), quick, clock=lambda: now[0])
    first = login_fields(login)
    now[0] += 74
    assert login_fields(login) == first
    assert issuer.tokens_given == 2
    issuer.away = True
    now[0] += 2  # the last quarter of its life
    assert login_fields(login) == first
    now[0] += 25  # its end
    with pytest.raises(ServerFault):
        login_fields(login)
    issuer.away = False
    assert login_fields(login) != first


def test_a_refresh_token_goes_to_the_issuer_that_gave_it_alone(issuer, sign_in, settings):
    profile = sign_in()
    with answering(lambda _: Answer(500)) as evil:
        options = {**profile.login.options, "issuer": evil.url}
        elsewhere = replace(profile, login=replace(profile.login, options=options))
        with pytest.raises(AuthenticationError, match="Nobody is signed in"):
            connect(elsewhere, settings)
        signing.sign_out(elsewhere, Secrets(settings), settings)
    assert evil.asked == []


def test_azure_is_an_issuer_with_its_own_scope():
    profile = ServerProfile(
        "azure", "https://w-s.dicom.azurehealthcareapis.com/v2", azure_login("t-1", "c-1")
    )
    config = OidcConfig.of(profile)
    assert config.issuer == "https://login.microsoftonline.com/t-1/v2.0"
    assert "https://dicom.healthcareapis.azure.com/.default" in config.scope.split()
    assert "offline_access" in config.scope.split()
    assert config.redirect == "http://localhost"


def test_a_kept_login_shows_no_token():
    kept = StoredLogin("refresh-token", "client-secret", "alice", ISSUER)
    assert StoredLogin.parse(kept.to_json(), ISSUER) == kept
    assert StoredLogin.parse(kept.to_json(), "https://evil.example") == StoredLogin()
    assert "refresh-token" not in repr(kept) + str(kept)
    assert "client-secret" not in repr(kept) + str(kept)
