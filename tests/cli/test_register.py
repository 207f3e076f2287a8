"""``register``, ``unregister`` and ``trust``, with the real xdg-mime of this machine."""

import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Run

needs_xdg = pytest.mark.skipif(not shutil.which("xdg-mime"), reason="needs xdg-utils")


@needs_xdg
def test_register_says_what_opens_which_links(run: Run) -> None:
    ran = run("register", "--json")
    assert ran.code == 0
    assert [(entry["scheme"], entry["state"]) for entry in ran.json["schemes"]] == [
        ("dicomdock", "ours"),
        ("slicer", "ours"),
    ]
    assert "weasis:// links open with dicomdock." in run("register", "--scheme", "weasis").out
    ran = run("unregister", "--json")
    assert [entry["state"] for entry in ran.json["schemes"]] == ["free", "free", "free"]


@needs_xdg
def test_doctor_names_a_broken_registration_and_its_remedy(run: Run, home: Path) -> None:
    run("register")
    (home / ".local/share/dicomdock/bin/dicomdock-open").unlink()
    found = {finding["check"]: finding for finding in run("doctor", "--json").json["findings"]}
    assert found["slicer:// links"]["status"] == "failed"
    assert "run `dicomdock register --scheme slicer`" in found["slicer:// links"]["remedy"]


def test_an_unknown_scheme_is_wrong_usage(run: Run) -> None:
    ran = run("register", "--scheme", "https")
    assert (ran.code, "slicer" in ran.err) == (2, True)


def test_trust_is_added_listed_and_revoked(run: Run) -> None:
    assert "None yet" in run("trust").out
    assert run("trust", "add", "PACS.example.org").code == 0
    assert "not encrypted" in run("trust", "add", "http://orthanc.lan:8042").err
    assert run("trust", "list", "--json").json == {
        "origins": [
            {"origin": "https://pacs.example.org:443", "source": "user"},
            {"origin": "http://orthanc.lan:8042", "source": "user"},
        ]
    }
    assert run("trust", "revoke", "https://pacs.example.org", "--json").json["known"] is True
    assert "not on the list" in run("trust", "revoke", "https://pacs.example.org").out
    assert run("trust", "add", "file:///etc").code == 2
