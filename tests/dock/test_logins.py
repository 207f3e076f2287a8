"""Logins on the Servers page: each kind's fields, and a sign-in in the same browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, load_profiles
from dicomdock.dock.services.logins import FORMS, edited, login_of, values_of
from dicomdock.errors import InvalidInput
from tests.conftest import unavailable
from tests.dock.running import RunningDock
from tests.dock.using import open_at
from tests.servers import nginx, oidc
from tests.servers.oidc import Issuer
from tests.servers.orthanc import Orthanc


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Issuer]:
    if remedy := oidc.missing() or nginx.missing():
        unavailable("npm's oidc-provider or nginx", remedy)
    with oidc.provider(tmp_path) as issuer:
        yield issuer


@pytest.mark.servers
def test_a_person_signs_in_and_out(
    dock: RunningDock, page: Page, context: BrowserContext, provider: Issuer, orthanc: Orthanc, tmp_path: Path
):
    with oidc.gate(provider, orthanc, tmp_path) as url:
        open_at(page, dock, "/servers")
        page.get_by_test_id("server-url").fill(url)
        page.get_by_test_id("server-name").fill("clinic")
        page.get_by_test_id("server-login").click()
        page.get_by_role("option", name="OpenID Connect").click()
        expect(page.get_by_test_id("server-user")).to_be_hidden()
        page.get_by_test_id("server-issuer").fill(provider.url)
        page.get_by_test_id("server-client_id").fill("dicomdock")
        page.get_by_test_id("save-server").click()
        card = page.get_by_test_id("server-clinic")
        page.get_by_test_id("sign-in-clinic").click()
        page.get_by_test_id("sign-in-cancel").click()
        expect(page.get_by_test_id("sign-in-link")).to_have_count(0)
        page.get_by_test_id("sign-in-clinic").click()
        with context.expect_page() as opened:
            page.get_by_test_id("sign-in-link").click()
        other = opened.value
        other.fill("input[name=login]", "carol")
        other.fill("input[name=password]", "any")
        other.click("button[type=submit]")
        other.click("button[type=submit]")  # agrees to what dicomdock asks for
        expect(other.get_by_role("heading", name="You are signed in")).to_be_visible()
        other.close()
        expect(card).to_contain_text("as carol")
        page.get_by_test_id("test-clinic").click()
        expect(card).to_contain_text("can be searched")
        page.get_by_test_id("sign-out-clinic").click()
        expect(page.get_by_test_id("sign-in-clinic")).to_be_visible()
        profile = load_profiles(dock.settings).get("clinic")
        assert profile.login.user == ""
        assert Secrets(dock.settings).get("clinic", profile.origin) is None
        page.get_by_test_id("test-clinic").click()
        expect(card).to_contain_text("Nobody is signed in")


@pytest.mark.parametrize("kind", FORMS)
def test_a_login_is_shown_as_it_was_typed(kind: str):
    typed = {field.name: f"the-{field.name}" for field in FORMS[kind].fields}
    login = login_of(kind, typed)
    if kind == "azure":
        assert login.kind == "oidc"
        return
    assert login.kind == kind
    assert {name: values_of(login)[name] for name in typed} == typed


def test_the_inbox_is_no_album():
    login = login_of("kheops", {"album": "inbox"})
    assert login.options == {"inbox": "true"}
    assert values_of(login)["album"] == "inbox"
    assert edited(login, login_of("kheops", {"album": "Aa1"})).options == {"album": "Aa1"}


@pytest.mark.parametrize(
    ("kind", "typed"), [("basic", {}), ("oidc", {"issuer": "https://i.example"}), ("azure", {})]
)
def test_what_is_needed_is_reported(kind: str, typed: dict[str, str]):
    with pytest.raises(InvalidInput, match="needs"):
        login_of(kind, typed)


@pytest.mark.slow
def test_editing_keeps_what_the_form_does_not_show():
    old = login_of("azure", {"tenant": "t", "client_id": "c"})
    again = edited(Login("oidc", "alice", old.options), login_of("oidc", values_of(old)))
    assert again == Login("oidc", "alice", old.options)
    other = login_of("oidc", {"issuer": "https://i.example", "client_id": "c"})
    assert edited(Login("oidc", "alice", old.options), other) == other
