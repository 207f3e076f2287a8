"""OpenID Connect at real issuers, before a real Orthanc whose gate lets in live access tokens only."""

from __future__ import annotations

import json
import logging
import queue
import threading
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dicomdock.archive import Archive
from dicomdock.config.secrets import Secrets
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client, connect
from dicomdock.dicomweb.auth import auth_for, signing
from dicomdock.dicomweb.auth.oidc import StoredLogin
from dicomdock.errors import AuthenticationError, Cancelled, InvalidInput
from dicomdock.transfer.pull import pull
from dicomdock.web.auth import BasicAuth
from tests.builders import ct_series
from tests.chromium import start
from tests.conftest import unavailable
from tests.dicomweb.clients import login_fields, parts_of
from tests.dicomweb.signing import profile_at, signed_in
from tests.servers import nginx, oidc
from tests.servers.oidc import Person
from tests.waiting import join

LIFETIME = 2  # seconds of the access tokens


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """npm's oidc-provider: rotates refresh tokens, and ends the sign-in when an old one is used again."""
    if remedy := oidc.missing():
        unavailable("npm's oidc-provider", remedy)
    with oidc.provider(tmp_path_factory.mktemp("provider"), lifetime=LIFETIME) as issuer:
        yield issuer


@pytest.fixture
def gate(provider, orthanc, tmp_path):
    """The DICOMweb address of Orthanc behind the gate."""
    if remedy := nginx.missing():
        unavailable("nginx", remedy)
    with oidc.gate(provider, orthanc, tmp_path) as url:
        yield url


def token_of(auth) -> str:
    return login_fields(auth)["Authorization"].removeprefix("Bearer ")


def kept_by(settings, profile):
    return StoredLogin.parse(Secrets(settings).get("pacs", profile.origin), profile.login.options["issuer"])


pytestmark = pytest.mark.servers


def test_one_login_serves_every_transaction(provider, gate, orthanc, settings):
    series = ct_series(3)
    profile = signed_in(profile_at(gate, provider.url), settings)
    assert profile.login.user == "alice"
    with connect(profile, settings) as client:
        stored = list(client.store(parts_of(series)))
        assert len(stored) == 3
        (page,) = [page for page in client.search(Query()) if page.matches]
        assert page.matches[0].attributes["0020000D"]["Value"] == [series[0].study]
        parts = [
            b"".join(found.chunks()) for found in client.retrieve(Resource(series[0].study, series[0].series))
        ]
        assert sorted(parts) == sorted(one.data for one in series)
        kind, picture = client.rendered(series[0].resource)
        assert kind == "image/jpeg"
        assert picture
    assert orthanc.instance_count() == 3


def test_tokens_that_live_for_seconds_lose_nothing(provider, orthanc, settings, tmp_path):
    series = ct_series(40)
    orthanc.add(*(one.data for one in series))
    before = provider.said("granted refresh_token")
    slow = f"limit_rate {len(series[0].data) * 4};"  # a quarter of a second for each
    with oidc.gate(provider, orthanc, tmp_path, inside=slow) as url, Archive.open(settings) as archive:
        profile = signed_in(profile_at(url, provider.url), settings)
        profile = replace(profile, dialect=replace(profile.dialect, retrieve_level="instance"))
        with connect(profile, settings) as client:
            work = pull(client, archive, [Resource(series[0].study)], replace(settings, instance_workers=2))
            report = None
            try:
                while True:
                    next(work)
            except StopIteration as end:
                report = end.value
        assert report.complete
        kept = archive.instances(Resource(series[0].study))
        assert sorted(one.path.read_bytes() for one in kept) == sorted(one.data for one in series)
    assert provider.said("granted refresh_token") - before >= 3
    assert provider.said("refused") == 0


def test_many_threads_and_programs_renew_without_stepping_on_each_other(provider, gate, settings):
    profile = signed_in(profile_at(gate, provider.url), settings)
    refused = provider.said("refused refresh_token")
    logins = [auth_for(profile, Secrets(settings), settings) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda number: logins[number % 3].refresh(), range(12)))
    assert provider.said("refused refresh_token") == refused
    assert len({token_of(login) for login in logins}) == 3


def test_one_renewal_serves_all_threads(provider, gate, settings):
    profile = signed_in(profile_at(gate, provider.url), settings)
    before = provider.said("granted refresh_token")
    login = auth_for(profile, Secrets(settings), settings)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: token_of(login), range(8)))) == 1
    assert provider.said("granted refresh_token") == before + 1


def test_a_sign_in_that_was_ended_says_to_sign_in_again(provider, gate, settings):
    profile = signed_in(profile_at(gate, provider.url), settings)
    kept = kept_by(settings, profile)
    form = urllib.parse.urlencode({"token": kept.refresh_token, "client_id": "dicomdock"}).encode()
    urllib.request.urlopen(f"{provider.url}/token/revocation", data=form).close()
    with (
        connect(profile, settings) as client,
        pytest.raises(AuthenticationError, match="dicomdock server login pacs") as caught,
    ):
        list(client.search(Query()))
    assert kept.refresh_token not in str(caught.value) + repr(caught.value.__cause__)


def test_signing_out_ends_it_at_the_issuer_and_here(provider, gate, settings):
    profile = signed_in(profile_at(gate, provider.url), settings)
    secrets = Secrets(settings)
    kept = secrets.get("pacs", profile.origin)
    signing.sign_out(profile, secrets, settings)
    assert secrets.get("pacs", profile.origin) is None
    with pytest.raises(AuthenticationError, match="Nobody is signed in"):
        connect(profile, settings)
    secrets.set("pacs", profile.origin, kept)
    with connect(profile, settings) as client, pytest.raises(AuthenticationError, match="has ended"):
        list(client.search(Query()))


def test_a_code_typed_elsewhere_signs_in(provider, gate, settings):
    person, threads = Person("bob"), []

    def show(prompt):
        assert prompt.code
        threads.append(threading.Thread(target=person.sign_in, args=(prompt.whole_url,), daemon=True))
        threads[-1].start()

    profile = signing.sign_in(
        profile_at(gate, provider.url), Secrets(settings), settings, show=show, way="device"
    )
    join(threads[0])
    assert profile.login.user == "bob"
    with connect(profile, settings) as client:
        assert list(client.search(Query()))


def test_a_code_that_is_not_wanted_any_more(provider, gate, settings):
    given_up = threading.Event()
    with pytest.raises(Cancelled):
        signing.sign_in(
            profile_at(gate, provider.url),
            Secrets(settings),
            settings,
            show=lambda prompt: given_up.set(),
            way="device",
            cancelled=given_up,
        )


def test_no_token_is_found_anywhere_else(provider, gate, settings, home, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    profile = signed_in(profile_at(gate, provider.url), settings)
    refresh = kept_by(settings, profile).refresh_token
    login = auth_for(profile, Secrets(settings), settings)
    with Client(profile, settings=settings, auth=login) as client:
        list(client.search(Query()))
        access = token_of(login)
        shown = repr(login) + str(login) + login.describe() + repr(client) + repr(vars(login))
    renewed = kept_by(settings, profile).refresh_token
    said = caplog.text + "".join(capfd.readouterr())
    assert access
    for token in (refresh, renewed):
        assert token
        assert token not in said + shown
    assert access not in said
    files = [file for file in home.rglob("*") if file.is_file()]
    holding = [file for file in files if renewed.encode() in file.read_bytes()]
    assert [file.name for file in holding] == ["secrets.json"]
    assert holding[0].stat().st_mode & 0o777 == 0o600
    assert not [file for file in files if access.encode() in file.read_bytes()]
    assert not [file for file in files if refresh.encode() in file.read_bytes()], "the old one is gone"


def test_a_kept_login_goes_to_the_address_it_was_made_for(provider, gate, settings):
    profile = signed_in(profile_at(gate, provider.url), settings)
    with pytest.raises(AuthenticationError, match="Nobody is signed in"):
        connect(replace(profile, url="http://127.0.0.1:9/dicom-web"), settings)


def test_a_program_signs_in_by_its_own_secret(provider, settings):
    options = {"client_id": "robot", "grant": "client_credentials", "scope": ""}
    profile = profile_at("http://127.0.0.1:9", provider.url, **options)
    secrets = Secrets(settings)
    with pytest.raises(AuthenticationError, match="client secret"):
        auth_for(profile, secrets, settings)
    secrets.set("pacs", profile.origin, "r0b0t-secret")
    token = token_of(auth_for(profile, secrets, settings))
    form = urllib.parse.urlencode({"token": token}).encode()
    request = urllib.request.Request(f"{provider.url}/token/introspection", data=form)
    request.add_header("Authorization", login_fields(BasicAuth("robot", "r0b0t-secret"))["Authorization"])
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["active"] is True
    with pytest.raises(InvalidInput, match="no sign-in"):
        signing.sign_in(profile, secrets, settings, show=print)


def test_another_make_of_issuer(orthanc, settings, tmp_path):
    if remedy := oidc.missing_mock():
        unavailable("PyPI's oidc-provider-mock", remedy)
    with oidc.mock(tmp_path, lifetime=LIFETIME) as issuer, oidc.gate(issuer, orthanc, tmp_path) as url:
        profile = profile_at(url, issuer.url, scope="openid email")
        Secrets(settings).set("pacs", profile.origin, "its client secret")
        profile = signed_in(profile, settings)
        assert profile.login.user == "alice"
        with connect(profile, settings) as client:
            list(client.search(Query()))
            urllib.request.urlopen(f"{issuer.url}/users/alice/revoke-tokens", data=b"").close()
            with pytest.raises(AuthenticationError, match="sign in again"):
                list(client.search(Query()))
        signing.sign_out(profile, Secrets(settings), settings)
        kept = kept_by(settings, profile)
        assert kept == StoredLogin(client_secret="its client secret")


def test_a_real_browser_signs_in(provider, gate, settings, chromium):
    shown, outcome = queue.Queue(), []
    profile = profile_at(gate, provider.url)

    def sign_in():
        show = shown.put
        outcome.append(signing.sign_in(profile, Secrets(settings), settings, show=show, seconds=120))

    waiting = threading.Thread(target=sign_in, daemon=True)
    waiting.start()
    browser = start(chromium)
    try:
        page = browser.new_page()
        page.goto(shown.get(timeout=60).url)
        page.fill("input[name=login]", "carol")
        page.fill("input[name=password]", "any")
        page.click("button[type=submit]")
        page.click("button[type=submit]")  # agrees to what dicomdock asks for
        page.wait_for_selector("h1:has-text('You are signed in')")
        assert page.evaluate("document.scripts.length") == 0
    finally:
        browser.close()
        join(waiting)
    assert outcome[0].login.user == "carol"
