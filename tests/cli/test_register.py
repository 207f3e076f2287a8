"""``register``, ``unregister`` and ``trust``, with the real xdg-mime of this machine."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Run

needs_xdg = pytest.mark.skipif(not shutil.which("xdg-mime"), reason="needs xdg-utils")


@pytest.mark.slow
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


def about_slicer(run: Run) -> dict[str, str]:
    """Return what doctor finds about slicer:// links."""
    found = {finding["check"]: finding for finding in run("doctor", "--json").json["findings"]}
    return found["slicer:// links"]


def without_wrapper(home: Path) -> None:
    (home / ".local/share/dicomdock/bin/dicomdock-open").unlink()


def with_a_wrapper_that_may_not_run(home: Path) -> None:
    (home / ".local/share/dicomdock/bin/dicomdock-open").chmod(0o644)


def with_a_venv_that_was_removed(home: Path) -> None:
    wrapper = home / ".local/share/dicomdock/bin/dicomdock-open"
    wrapper.write_text(wrapper.read_text().replace(sys.executable, "/home/jo/old-venv/bin/python"))


def without_desktop_file(home: Path) -> None:
    (home / ".local/share/applications/dicomdock-url.desktop").unlink()


def with_an_edited_desktop_file(home: Path) -> None:
    file = home / ".local/share/applications/dicomdock-url.desktop"
    file.write_text(file.read_text().replace(" %u", ' "%u"'))


def without_defaults(home: Path) -> None:
    (home / ".config/mimeapps.list").unlink()
    (home / ".local/share/applications/mimeinfo.cache").unlink(missing_ok=True)
    (home / ".local/share/applications/dicomdock-url.desktop").unlink()


def with_another_default(home: Path) -> None:
    (home / ".local/share/applications/stratos.desktop").write_text(
        "[Desktop Entry]\nType=Application\nName=Stratos\nExec=/bin/false %u\n"
        "MimeType=x-scheme-handler/slicer;\n"
    )
    subprocess.run(["xdg-mime", "default", "stratos.desktop", "x-scheme-handler/slicer"], check=True)


@pytest.mark.slow
@needs_xdg
@pytest.mark.parametrize(
    ("breaking", "status", "words"),
    [
        (without_wrapper, "failed", "dicomdock-open, is gone"),
        (with_a_wrapper_that_may_not_run, "failed", "may not be run"),
        (with_a_venv_that_was_removed, "failed", "/home/jo/old-venv/bin/python, which is gone"),
        (without_desktop_file, "failed", ""),
        (with_an_edited_desktop_file, "failed", "has been changed"),
        (without_defaults, "failed", "has forgotten"),
        (with_another_default, "missing", "Stratos opens slicer:// links now"),
    ],
)
def test_doctor_names_what_is_broken_and_its_remedy_mends_it(
    run: Run, home: Path, breaking: Callable[[Path], None], status: str, words: str
) -> None:
    run("register")
    assert about_slicer(run)["status"] == "ok"
    breaking(home)
    found = about_slicer(run)
    assert found["status"] == status
    assert words in found["remedy"]
    (command,) = re.findall(r"`dicomdock ([^`]*)`", found["remedy"])
    assert run(*command.split()).code == 0
    assert about_slicer(run) == {
        "check": "slicer:// links",
        "status": "ok",
        "detail": "open with dicomdock",
        "remedy": "",
    }


@pytest.mark.slow
@needs_xdg
def test_doctor_tells_to_install_what_the_desktop_lacks(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    found = about_slicer(run)
    assert (found["status"], found["detail"]) == ("missing", "open with nothing")
    assert "sudo apt install xdg-utils" in found["remedy"]
    monkeypatch.setenv("PATH", usual)
    run("register")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = about_slicer(run)
    assert (found["status"], found["detail"]) == ("failed", "would open nothing")
    assert "sudo apt install xdg-utils" in found["remedy"]
    assert "xdg-utils" in run("register").err


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
