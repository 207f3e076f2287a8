"""``search --all``: the archive and every server side by side."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dicomdock.config.servers import Login, ServerProfile, load_profiles
from tests.anyserver.conftest import head
from tests.builders import Made, write
from tests.servers.canned import answering
from tests.servers.imitations import Dcm4chee, Imitation, StaticWado
from tests.servers.imitations.base import small


@pytest.fixture
def know(settings):
    """Return a function that makes a server known without asking it."""

    def know(name: str, url: str) -> None:
        load_profiles(settings).with_profile(ServerProfile(name, url)).save(settings)

    return know


@pytest.fixture
def everywhere(know, run, tmp_path):
    """One study at two servers and here, one at each server alone."""
    first, second = Dcm4chee(), StaticWado()
    own: list[Made] = [small(PatientID="H2"), small(PatientID="H3")]
    first.add([*head(), own[0]])
    second.add([*head(), own[1]])
    with answering(first) as one, answering(second) as two:
        know("one", one.url + first.base)
        know("two", two.url + second.base)
        write(tmp_path / "here", [*head()])
        assert run("import", tmp_path / "here").code == 0
        yield own


def test_matches_are_joined_and_say_who_has_them(everywhere, run):
    ran = run("search", "PatientID=H*", "--all", "--json")
    assert ran.code == 0, ran.err
    where = {match["StudyInstanceUID"]: set(match["sources"]) for match in ran.json["matches"]}
    assert where == {
        head()[0].study: {"local", "one", "two"},
        everywhere[0].study: {"one"},
        everywhere[1].study: {"two"},
    }
    each = {result["server"]: len(result["matches"]) for result in ran.json["results"]}
    assert each == {"local": 1, "one": 2, "two": 2}


def test_a_person_sees_each_study_once(everywhere, run):
    ran = run("search", "PatientID=H*", "--all")
    assert ran.out.count("Head^Ada") == 1
    assert ran.out.count(f"has {head()[0].study} too.") == 2


def test_who_fails_and_who_is_slow_are_named_and_nobody_waits(everywhere, know, run):
    asked = threading.Event()

    def silent(_):
        asked.set()

    with answering(silent) as slow:
        know("asleep", slow.url)
        know("gone", "http://127.0.0.1:9")
        ran = run("search", "PatientID=H*", "--all", "--patience", "1.5", "--json")
    assert asked.is_set()
    assert ran.code == 3
    errors = {result["server"]: result.get("error", "") for result in ran.json["results"]}
    assert "did not answer within 1.5 seconds" in errors["asleep"]
    assert errors["gone"]
    assert not errors["one"]
    assert len(ran.json["matches"]) == 3
    assert "asleep:" in ran.err


def test_a_limit_holds_for_each_and_more_is_reported(know, run):
    server = Imitation()
    server.add([small(PatientID=f"M{number}") for number in range(3)])
    with answering(server) as canned:
        know("many", canned.url + server.base)
        know("again", canned.url + server.base)
        ran = run("search", "--server", "many", "--server", "again", "--limit", "2")
    assert "many has more than these; --offset 2 shows the next." in ran.err
    assert ran.code == 0


def test_a_login_that_is_missing_costs_only_itself(everywhere, know, settings, run):
    profiles = load_profiles(settings)
    broken = replace(profiles.get("one"), name="broken", login=Login("basic", "bob"))  # no password is kept
    profiles.with_profile(broken).save(settings)
    ran = run("search", "PatientID=H2", "--all", "--json")
    assert ran.code == 3
    assert {result["server"] for result in ran.json["results"] if "error" in result} == {"broken"}
    assert [match["sources"] for match in ran.json["matches"]] == [["one"]]
