from __future__ import annotations

import pytest

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile
from dicomdock.dicomweb.auth import auth_for
from dicomdock.errors import AuthenticationError, InvalidInput, ProfileError
from dicomdock.web.auth import BasicAuth, BearerAuth, HeaderAuth, NoAuth
from tests.dicomweb.clients import login_fields

URL = "https://pacs.example/dicom-web"
SECRET = "tr0ub4dor"


class Kept(dict):
    """Secrets in memory."""

    def get(self, server_name, origin):
        return super().get((server_name, origin))


@pytest.fixture
def made(settings):
    def made(login, secret=SECRET):
        kept = Kept({("pacs", "https://pacs.example:443"): secret})
        return auth_for(ServerProfile("pacs", URL, login), kept, settings)

    return made


@pytest.mark.parametrize(
    ("login", "secret", "headers", "words"),
    [
        (Login(), SECRET, {}, "no login"),
        (Login("basic", "alice"), "secret", {"Authorization": "Basic YWxpY2U6c2VjcmV0"}, "Basic as alice"),
        (Login("basic", "zoë"), "ß:x", {"Authorization": "Basic em/DqzrDnzp4"}, "Basic as zoë"),
        (Login("bearer"), "abc.def", {"Authorization": "Bearer abc.def"}, "Bearer token"),
        (Login("headers", options={"header": "X-Api-Key"}), "k", {"X-Api-Key": "k"}, "header X-Api-Key"),
        (Login("headers"), "X-A: 1\nX-B: a:b\n\n", {"X-A": "1", "X-B": "a:b"}, "header X-A, X-B"),
    ],
)
def test_a_profile_and_its_secret_make_a_login(made, login, secret, headers, words):
    auth = made(login, secret)
    assert login_fields(auth, URL) == headers
    assert auth.describe() == words
    assert auth.refresh() is False


@pytest.mark.parametrize(
    "auth", [BasicAuth("alice", SECRET), BearerAuth(SECRET), HeaderAuth({"X-Key": SECRET})]
)
def test_no_secret_is_shown(auth):
    assert SECRET not in repr(auth) + str(auth) + auth.describe()


def test_equal_logins_are_equal():
    assert BasicAuth("a", "b") == BasicAuth("a", "b") != BasicAuth("a", "c")
    assert NoAuth() == NoAuth()


@pytest.mark.parametrize(
    "make",
    [
        lambda: BasicAuth("a:b", SECRET),
        lambda: BearerAuth(""),
        lambda: BearerAuth(f"{SECRET}\r\nX-Evil: 1"),
        lambda: BearerAuth(f"{SECRET} x"),
        lambda: HeaderAuth({"X-Key": f"{SECRET}\r\nX-Evil: 1"}),
        lambda: HeaderAuth({"X-Key": ""}),
        lambda: HeaderAuth({"Bad Name": SECRET}),
        lambda: HeaderAuth({"Host": SECRET}),
    ],
)
def test_what_cannot_stand_in_a_header_is_refused_without_showing_it(make):
    with pytest.raises(InvalidInput) as caught:
        make()
    assert SECRET not in str(caught.value)


def test_a_secret_belongs_to_an_origin(settings):
    secrets = Secrets(settings)
    secrets.set("pacs", "https://pacs.example:443", SECRET)
    good = ServerProfile("pacs", URL, Login("bearer"))
    assert login_fields(auth_for(good, secrets, settings), URL) == {"Authorization": f"Bearer {SECRET}"}
    for url in (
        "http://pacs.example/dicom-web",
        "https://pacs.example:8443/",
        "https://evil.example/dicom-web",
    ):
        with pytest.raises(AuthenticationError, match="No secret is stored") as caught:
            auth_for(ServerProfile("pacs", url, Login("basic", "alice")), secrets, settings)
        assert caught.value.login == "basic as alice"
    with pytest.raises(AuthenticationError):
        auth_for(ServerProfile("other", URL, Login("bearer")), secrets, settings)


def test_a_login_that_lacks_its_options_says_so(made):
    with pytest.raises(ProfileError, match="--issuer"):
        made(Login("oidc"))


def test_a_login_that_nobody_signed_in_for_says_so(settings):
    options = {"issuer": "https://login.example", "client_id": "dicomdock"}
    with pytest.raises(AuthenticationError, match="dicomdock server login pacs"):
        auth_for(ServerProfile("pacs", URL, Login("oidc", options=options)), Secrets(settings), settings)
