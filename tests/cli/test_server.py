"""``server``: addresses are repaired, logins kept safely, and what works is said."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.builders import ct_series
from tests.servers.canned import Answer, answering

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import load_profiles

EMPTY = Answer(body=b"[]", headers={"Content-Type": "application/dicom+json"})


def files_with(text: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_an_address_near_the_right_one_is_repaired(run, orthanc):
    for pasted in (orthanc.root, f"{orthanc.root}/app/explorer.html", f"{orthanc.url}/studies"):
        login = ("--user", "alice", "--password-stdin")
        added = run("server", "add", "box", pasted, "--replace", *login, "--json", stdin=orthanc.password)
        assert added.code == 0, added.err
        assert added.json["server"]["url"] == orthanc.url
        assert added.json["changes"]
        assert added.json["test"]["reachable"] is True
        assert added.json["server"]["dialect"] == "orthanc"


def test_a_share_link_brings_its_token_as_the_login(run, home):
    asked = []

    def reply(request):
        asked.append(request)
        return Answer(body=b"[]", headers={"Content-Type": "application/dicom+json"})

    with answering(reply) as server:
        added = run("server", "add", "album", f"{server.url}/view/t0ken-t0ken", "--json")
    assert added.json["server"]["login"] == "bearer"
    assert added.json["server"]["url"] == f"{server.url}/api"
    assert {request.headers["Authorization"] for request in asked} == {"Bearer t0ken-t0ken"}
    assert "t0ken-t0ken" not in added.out + added.err


def test_the_secret_lies_in_one_private_file_where_there_is_no_keyring(run, home, orthanc):
    login = ("--user", "alice", "--password-stdin")
    added = run("server", "add", "box", orthanc.url, *login, stdin="s3cret-s3cret\n")
    (file,) = files_with("s3cret-s3cret", home)
    assert str(file) in added.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = run("server", "show", "box", "--json")
    assert "s3cret" not in added.out + added.err + shown.out
    assert run("server", "remove", "box").code == 0
    assert files_with("s3cret-s3cret", home) == []


def test_a_password_is_never_a_word_of_the_command(run, orthanc):
    assert run("server", "add", "box", orthanc.url, "--user", "alice", "--password", "secret").code == 2
    nobody = run("server", "add", "box", orthanc.url, "--user", "alice")
    assert nobody.code == 2
    assert "--password-stdin" in nobody.err


def test_options_that_contradict_are_refused(run, orthanc):
    for options in (
        ("--user", "a", "--token-stdin", "--password-stdin"),
        ("--login", "basic", "--password-stdin"),
        ("--login", "bearer", "--user", "a", "--token-stdin"),
        ("--login", "headers", "--token-stdin"),
    ):
        assert run("server", "add", "box", orthanc.url, *options, stdin="x").code == 2
    assert run("server", "list", "--json").json == {"servers": []}


def test_a_header_is_a_login_too(run):
    def reply(request):
        known = request.headers.get("X-Api-Key") == "k3y"
        return Answer(200 if known else 401, b"[]", {"Content-Type": "application/dicom+json"})

    with answering(reply) as server:
        added = run(
            "server", "add", "box", f"{server.url}/dw", "--header", "X-Api-Key", "--token-stdin", stdin="k3y"
        )
        assert added.code == 0, added.err
        assert run("search", "--json").json["matches"] == []


def test_one_is_the_default(run, orthanc):
    for name in ("one", "two"):
        login = ("--user", "alice", "--password-stdin")
        run("server", "add", name, orthanc.url, *login, stdin=orthanc.password)
    assert [server["default"] for server in run("server", "list", "--json").json["servers"]] == [True, False]
    assert run("server", "use", "two").code == 0
    assert "* two" in run("server", "list").out
    assert run("search", "--json").json["server"] == "two"
    assert run("server", "remove", "two").code == 0
    assert run("search", "--json").json["server"] == "one"
    assert run("server", "use", "two").code == 1


def test_a_test_says_in_words_what_works(run, hospital):
    hospital.add(*(instance.data for instance in ct_series(1)))
    tested = run("server", "test", "hospital")
    assert tested.code == 0
    assert "Studies can be searched." in tested.out
    report = run("server", "test", "hospital", "--json").json
    assert report["dialect"] == "orthanc"
    assert {finding["works"] for finding in report["findings"]} <= {"yes", "no", "unknown"}


def test_doctor_looks_at_a_server_nobody_added(run, hospital):
    looked = run("doctor", "hospital", "--json").json["findings"]
    assert {finding["check"] for finding in looked} >= {"reachable", "search"}
    with answering(
        lambda _: Answer(body=b"[]", headers={"Content-Type": "application/dicom+json"})
    ) as server:
        assert run("doctor", f"{server.url}/dicom-web").code == 0
    assert run("doctor", f"{server.url}/dicom-web").code == 1


def test_an_entry_that_cannot_be_used_is_named_and_stops_no_other(run, settings):
    settings.config.mkdir(parents=True, exist_ok=True)
    (settings.config / "servers.toml").write_text(
        "[servers.old]\nurl = 'http://[fe80::1%25eth0]/rs'\n[servers.good]\nurl = 'http://pacs.test/rs'\n"
    )
    listed = run("server", "list")
    assert listed.code == 0
    assert "good" in listed.out
    assert "servers.old: The address of server 'old'" in listed.err
    assert [server["name"] for server in run("server", "list", "--json").json["servers"]] == ["good"]
    assert "servers.old" in run("server", "show", "old").err
    assert run("server", "remove", "old").code == 0
    assert run("server", "list").err == ""


def test_a_name_is_replaced_only_when_that_is_meant(run):
    with answering(lambda _: EMPTY) as server:
        first, second = f"{server.url}/one", f"{server.url}/two"
        assert run("server", "add", "box", first).code == 0
        refused = run("server", "add", "box", second)
        assert refused.code == 2 and "--replace" in refused.err and first in refused.err
        assert run("server", "list", "--json").json["servers"][0]["url"] == first
        assert run("server", "add", "box", second, "--replace").code == 0
        assert run("server", "list", "--json").json["servers"][0]["url"] == second


@pytest.mark.slow
def test_an_address_that_answers_nothing_leaves_the_server_of_that_name_alone(run, settings):
    login = ("--user", "a", "--password-stdin")
    with answering(lambda _: EMPTY) as server:
        run("server", "add", "box", server.url, *login, stdin="first-word\n")
    profile = load_profiles(settings).get("box")
    refused = run("server", "add", "box", server.url, "--replace", *login, stdin="other-word\n")
    assert refused.code == 1 and "--untested" in refused.err
    assert load_profiles(settings).get("box") == profile
    assert Secrets(settings).get("box", profile.origin) == "first-word"


def test_the_password_of_a_proxy_is_read_from_standard_input(run, settings):
    login = ("--user", "alice", "--password-stdin", "--untested")
    through = ("--proxy", "http://bob@127.0.0.1:9", "--proxy-password-stdin")
    added = run(
        "server", "add", "far", "http://127.0.0.1:9/", *login, *through, stdin="pr0xy-pass\nl0gin-pass\n"
    )
    assert added.code == 0
    (profile,) = load_profiles(settings)
    assert profile.proxy_password == "pr0xy-pass"
    assert Secrets(settings).get("far", profile.origin) == "l0gin-pass"
    shown = run("server", "show", "far", "--json")
    for secret in ("pr0xy-pass", "l0gin-pass"):
        assert secret not in shown.out + added.out + added.err
    without = run("server", "add", "near", "http://127.0.0.1:9/", "--proxy-password-stdin", stdin="x\n")
    assert without.code == 2
    assert "needs a proxy with a user" in without.err
