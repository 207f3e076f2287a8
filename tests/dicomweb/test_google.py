"""Google: an imitation that gives tokens for a service account's signature, lists stores, and is one."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import connect
from dicomdock.dicomweb.auth import auth_for
from dicomdock.dicomweb.auth.google import GoogleAuth
from dicomdock.dicomweb.auth.oidc import OidcConfig
from dicomdock.dicomweb.google_stores import Entry, Stores, store_url
from dicomdock.errors import AuthenticationError, InvalidInput, MissingDependency, ProfileError, Unreachable
from tests.builders import ct_series
from tests.dicomweb.clients import login_fields, parts_of
from tests.servers.canned import Answer, answering
from tests.servers.imitations import Google

ACCOUNT = "robot@p.iam.gserviceaccount.com"
PATH = "projects/p/locations/l/datasets/d/dicomStores/s"
LISTS = {
    "/v1/projects": ("projects", [{"projectId": "p", "name": "Imaging"}, {"projectId": "q", "name": "q"}]),
    "/v1/projects/p/locations": (
        "locations",
        [{"name": "projects/p/locations/l", "displayName": "London"}, {"name": "projects/p/locations/m"}],
    ),
    "/v1/projects/p/locations/l/datasets": ("datasets", [{"name": "projects/p/locations/l/datasets/d"}]),
    "/v1/projects/p/locations/l/datasets/d/dicomStores": (
        "dicomStores",
        [{"name": f"projects/p/locations/l/datasets/d/dicomStores/{name}"} for name in "rst"],
    ),
}


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Cloud:
    """It imitates: the token endpoint for signed assertions, the lists of the two APIs one row at a time, and
    a store; no more than that."""

    key: RSAKey
    lifetime: int = 3600
    store: Google = field(default_factory=lambda: Google(every=0))
    alive: set = field(default_factory=set)
    forbidden: tuple = ()
    given: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request):
        url = urlsplit(request.path)
        if url.path == "/token":
            return self.token(parse_qs(request.body.decode()))
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.alive:
            return Answer(401, b'{"error": {"code": 401, "status": "UNAUTHENTICATED"}}')
        if url.path in self.forbidden:
            return Answer(403, b'{"error": {"code": 403, "status": "PERMISSION_DENIED"}}')
        if url.path in LISTS:
            return self.listed(*LISTS[url.path], dict(parse_qsl(url.query)))
        return self.store(request)

    def token(self, form):
        try:
            claims = jwt.decode(form["assertion"][0], self.key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return Answer(400, b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}')
        assert claims["iss"] == ACCOUNT
        assert "cloud-platform" in claims["scope"]
        with self.lock:
            self.given += 1
            token = f"ya29.{self.given}"
            self.alive.add(token)
        body = {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}
        return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def listed(self, name, rows, query):
        at = int(query.get("pageToken") or 0)
        body = {name: rows[at : at + 1]}
        if at + 1 < len(rows):
            body["nextPageToken"] = str(at + 1)
        return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def cloud(key):
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    server = Cloud(RSAKey.import_key(pem))
    with answering(server) as canned:
        yield server, canned.url


@pytest.fixture
def account(key, cloud, tmp_path):
    """A service account's file."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    table = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": ACCOUNT,
        "token_uri": f"{cloud[1]}/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(table))
    return file


def profile_at(url, which):
    return ServerProfile("cloud", store_url(PATH, url), Login("google", options={"credentials": str(which)}))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "default"])
def test_a_service_account_searches_stores_and_retrieves(how, cloud, account, settings, home, monkeypatch):
    server, url = cloud
    series = ct_series(3)
    if how == "default":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    with connect(profile_at(url, account if how == "file" else how), settings) as client:
        assert len(list(client.store(parts_of(series)))) == 3
        assert [page.matches for page in client.search(Query()) if page.matches]
        got = [b"".join(one.chunks()) for one in client.retrieve(Resource(series[0].study))]
        assert sorted(got) == sorted(one.data for one in series)
        assert server.given == 1
        server.alive.clear()  # all tokens end at once
        client.delete(Resource(series[0].study))
    assert server.given == 2
    assert not [file for file in home.rglob("*") if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]


def test_nothing_secret_is_shown(cloud, account, settings, caplog):
    _, url = cloud
    caplog.set_level("DEBUG")
    auth = auth_for(profile_at(url, account), Secrets(settings), settings)
    token = login_fields(auth)["Authorization"].removeprefix("Bearer ")
    assert auth.describe() == f"Google with a service account's file as {ACCOUNT}"
    shown = repr(auth) + auth.describe() + caplog.text
    assert token not in shown
    assert "PRIVATE" not in shown


@pytest.mark.slow
def test_what_goes_wrong_is_reported(cloud, account, settings, tmp_path, monkeypatch):
    server, url = cloud
    for name in ("none.json", "empty.json"):
        (tmp_path / "empty.json").write_text("{}")
        with pytest.raises(ProfileError, match="service account"):
            GoogleAuth(profile_at(url, ""), settings, str(tmp_path / name))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(ProfileError, match="gcloud auth application-default login"):
        GoogleAuth(profile_at(url, "default"), settings)
    server.key = RSAKey.generate_key(2048)
    with pytest.raises(AuthenticationError, match="Invalid JWT Signature"):
        login_fields(GoogleAuth(profile_at(url, ""), settings, str(account)))
    table = json.loads(account.read_text()) | {"token_uri": "http://127.0.0.1:9/token"}
    account.write_text(json.dumps(table))
    with pytest.raises(Unreachable, match="check the network"):
        login_fields(GoogleAuth(profile_at(url, ""), settings, str(account)))
    monkeypatch.setitem(sys.modules, "google.auth.transport.urllib3", None)
    with pytest.raises(MissingDependency, match=r"pip install 'dicomdock\[google\]'"):
        GoogleAuth(profile_at(url, ""), settings, str(account))


@pytest.mark.slow
def test_stores_are_listed_page_by_page(cloud, account, settings):
    _, url = cloud
    profile = profile_at(url, account)
    auth = auth_for(profile, Secrets(settings), settings)
    with Stores(auth, profile, settings, healthcare=url, projects=url) as stores:
        assert stores.projects() == [Entry("p", "Imaging"), Entry("q", "q")]
        assert [str(entry) for entry in stores.projects()] == ["Imaging (p)", "q"]
        assert stores.locations("p") == [Entry("l", "London"), Entry("m")]
        assert stores.datasets("p", "l") == [Entry("d")]
        assert stores.stores("p", "l", "d") == [Entry("r"), Entry("s"), Entry("t")]
        with pytest.raises(InvalidInput):
            stores.datasets("p/../q", "l")


@pytest.mark.slow
def test_a_person_chooses_a_store(cloud, account, settings, capsys):
    from dicomdock.cli.google import chosen
    from dicomdock.cli.output import Console

    server, url = cloud
    profile = profile_at(url, account)
    auth = auth_for(profile, Secrets(settings), settings)
    answers = iter(["", "9", "1\n", "l\n", "2"])
    with Stores(auth, profile, settings, healthcare=url, projects=url) as stores:
        assert chosen(Console(), stores, lambda _: next(answers)) == PATH
    said = capsys.readouterr().err
    assert "Imaging (p)" in said
    assert "The only dataset is d." in said
    server.forbidden = ("/v1/projects",)
    answers = iter(["p\n", "l\n", "s\n"])
    with Stores(auth, profile, settings, healthcare=url, projects=url) as stores:
        assert chosen(Console(), stores, lambda _: next(answers)) == PATH


@pytest.mark.parametrize("given", [PATH, f"/{PATH}/dicomWeb/", f" {PATH}/dicomWeb"])
def test_a_store_is_named_by_its_path(given):
    assert store_url(given) == f"https://healthcare.googleapis.com/v1/{PATH}/dicomWeb"


@pytest.mark.parametrize("given", ["projects/p", PATH.replace("/s", "/s?x"), PATH.replace("d/", "d%2F/"), ""])
def test_what_is_not_a_path_of_a_store(given):
    with pytest.raises(InvalidInput):
        store_url(given)


def test_a_persons_own_google_login_is_an_openid_connect_one():
    options = {"credentials": "user", "client_id": "1.apps.googleusercontent.com"}
    config = OidcConfig.of(ServerProfile("cloud", store_url(PATH), Login("google", options=options)))
    assert config.issuer == "https://accounts.google.com"
    assert "cloud-platform" in config.scope
    assert config.extra == {"access_type": "offline"}
    assert replace(config, issuer="x").prompt == "consent"
