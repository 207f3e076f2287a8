"""``server add`` with every kind of login, ``server login`` and ``server logout``: a person at a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.builders import ct_series
from tests.cli.conftest import Ran
from tests.conftest import unavailable
from tests.servers import nginx, oidc
from tests.servers.canned import Answer, answering
from tests.servers.oidc import Person
from tests.waiting import LIMIT, join

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import load_profiles

EMPTY = Answer(200, b"[]", {"Content-Type": "application/dicom+json"})
SHOWN = re.compile(r"(?:this page: |Open )(http\S+)(?: on any machine and type the code (\S+))?\s")
DOCK = Path(sys.executable).with_name("dicomdock")


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    if remedy := oidc.missing():
        unavailable("npm's oidc-provider", remedy)
    with oidc.provider(tmp_path_factory.mktemp("provider")) as issuer:
        yield issuer


@pytest.fixture
def gate(provider, orthanc, tmp_path):
    if remedy := nginx.missing():
        unavailable("nginx", remedy)
    with oidc.gate(provider, orthanc, tmp_path) as url:
        yield url


def at_a_terminal(person: Person, *words: str) -> tuple[Ran, str]:
    """Run a command with a terminal on standard input and error; the person opens what it shows.

    Gives what it said and the last page that the person saw.
    """
    ours, theirs = pty.openpty()
    pages: list[str] = []
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    environment = {name: value for name, value in os.environ.items() if name not in screens}
    process = subprocess.Popen(
        [DOCK, *words], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True, env=environment
    )
    os.close(theirs)
    said = ""
    while True:
        if not select.select([ours], [], [], LIMIT)[0]:
            process.kill()
            out, _ = process.communicate()
            raise AssertionError(f"{words} shows nothing more:\n{said}\n{out}")
        try:
            said += os.read(ours, 65536).decode()
        except OSError:  # the other end is closed
            break
        found = SHOWN.search(said)
        if found and not pages:
            pages.append("")
            page = f"{found[1]}?user_code={found[2]}" if found[2] else found[1]
            visit = threading.Thread(
                target=lambda url: pages.append(person.sign_in(url)), args=(page,), daemon=True
            )
            visit.start()
    os.close(ours)
    out = process.stdout.read()
    process.stdout.close()
    code = process.wait(LIMIT)
    if pages:
        join(visit)
    return Ran(code, out, said), (pages or [""])[-1]


@pytest.mark.servers
def test_a_person_adds_a_server_signs_out_and_in_again(provider, gate, orthanc, run, settings, home):
    series = ct_series(2)
    orthanc.add(*(one.data for one in series))
    words = ("--issuer", provider.url, "--client-id", "dicomdock")
    added, page = at_a_terminal(Person(), "server", "add", "clinic", gate, *words)
    assert added.code == 0, added.err
    assert "You are signed in" in page
    assert load_profiles(settings).get("clinic").login.user == "alice"
    pulled = run("pull", series[0].study, "--server", "clinic", "--json")
    assert pulled.code == 0, pulled.err

    out = run("server", "logout", "clinic", "--json")
    assert out.json == {"server": "clinic", "login": "oidc"}
    refused = run("search", "--server", "clinic", "--json")
    assert refused.code == 4
    assert "dicomdock server login clinic" in refused.err

    again, page = at_a_terminal(Person("bob"), "server", "login", "clinic", "--device")
    assert again.code == 0, again.err
    assert "oidc as bob" in again.out
    assert run("search", "--server", "clinic", "--json").code == 0
    assert run("server", "remove", "clinic").code == 0
    kept = home / "dicomdock/config/secrets.json"
    assert "refresh_token" not in kept.read_text()


def test_a_server_is_kept_before_anybody_signs_in(run, settings):
    with answering(lambda _: Answer(401, b"", {"WWW-Authenticate": "Bearer"})) as server:
        words = ("--issuer", "https://login.example", "--client-id", "dock", "--scope", "openid x")
        added = run("server", "add", "clinic", server.url, *words, "--json")
    assert added.code == 4
    assert "dicomdock server login clinic" in added.err
    login = load_profiles(settings).get("clinic").login
    assert login.kind == "oidc"
    assert login.options == {"issuer": "https://login.example", "client_id": "dock", "scope": "openid x"}


@pytest.mark.parametrize(
    ("words", "kind", "options"),
    [
        (("--tenant", "t", "--client-id", "c"), "oidc", {"redirect": "http://localhost"}),
        (("--login", "kheops", "--album", "Aa1", "--token-stdin"), "kheops", {"album": "Aa1"}),
        (("--album", "inbox", "--token-stdin"), "kheops", {"inbox": "true"}),
        (("--region", "eu-west-1", "--token-stdin"), "aws", {"region": "eu-west-1"}),
        (("--credentials", "/nowhere.json"), "google", {"credentials": "/nowhere.json"}),
        (
            ("--issuer", "https://i.example", "--client-id", "c", "--as-program", "--token-stdin"),
            "oidc",
            {"grant": "client_credentials", "scope": ""},
        ),
    ],
)
def test_the_options_tell_the_login(words, kind, options, run, settings):
    with answering(lambda _: EMPTY) as server:
        run("server", "add", "box", server.url, *words, stdin="AKID:s3cret-s3cret\n")
    login = load_profiles(settings).get("box").login
    assert login.kind == kind
    assert options.items() <= dict(login.options).items()


@pytest.mark.parametrize(
    "words",
    [
        ("--login", "oidc", "--issuer", "https://i.example"),
        ("--login", "azure", "--client-id", "c"),
        ("--login", "basic", "--user", "a", "--album", "x", "--password-stdin"),
        ("--login", "aws", "--issuer", "https://i.example"),
        ("--user", "a", "--tenant", "t", "--client-id", "c"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(words, run):
    refused = run("server", "add", "box", "http://127.0.0.1:9", *words, stdin="x\n")
    assert refused.code == 2
    assert run("server", "list", "--json").json == {"servers": []}


def test_what_one_issuer_gave_is_forgotten_when_another_takes_its_place(run, settings):
    with answering(lambda _: Answer(401)) as server:
        words = ("server", "add", "clinic", server.url, "--client-id", "c", "--issuer")
        run(*words, "https://one.example", "--token-stdin", stdin="its-secret\n")
        profile = load_profiles(settings).get("clinic")
        run(*words, "https://one.example", "--replace")
        assert Secrets(settings).get("clinic", profile.origin) == "its-secret"
        run(*words, "https://two.example", "--replace")
        assert Secrets(settings).get("clinic", profile.origin) is None


def test_a_new_password_takes_the_place_of_the_old(run, orthanc, home):
    login = ("--user", "alice", "--password-stdin")
    assert run("server", "add", "box", orthanc.url, *login, stdin="wrong-wrong\n").code == 4
    changed = run("server", "login", "box", "--secret-stdin", "--json", stdin=f"{orthanc.password}\n")
    assert changed.json == {"server": "box", "login": "basic as alice"}
    assert run("search", "--server", "box").code == 0
    assert run("server", "logout", "box").code == 0
    assert run("search", "--server", "box").code == 4


def test_a_server_without_a_login_has_nothing_to_sign_in_with(run):
    with answering(lambda _: EMPTY) as server:
        run("server", "add", "open", server.url)
    assert run("server", "login", "open").code == 2


def test_a_store_of_googles_needs_somebody_to_choose_or_its_path(run):
    nobody = run("server", "add", "cloud", "google", "--credentials", "/nowhere.json")
    assert nobody.code == 2
    assert "projects/P" in nobody.err
    assert run("server", "add", "cloud", "projects/p").code == 2
