"""``view``: what is looked at, and what is said where it cannot be."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.builders import Made, ct_series, write
from tests.conftest import unavailable
from tests.dock.running import running
from tests.programs import Program


@pytest.fixture
def viewer_installed() -> None:
    """Skip where the viewer is not installed."""
    if importlib.util.find_spec("trame_slicer") is None:
        unavailable("The viewer", "pip install 'dicomdock[viewer]'")


@pytest.fixture
def here(run, tmp_path) -> list[Made]:
    """Return the images of a study that is in the archive; another one is there too."""
    made = ct_series(3, PatientID="4711")
    imported = run("import", *write(tmp_path / "files", [*made, *ct_series(2, PatientID="4712")]))
    assert imported.code == 0, imported.err
    return made


def test_what_is_not_a_resource_is_refused(run, here):
    refused = run("view", "1/2/3/4/5")
    assert refused.code == 2
    assert "1/2/3/4/5" in refused.err


def test_a_study_that_is_not_here_is_reported_with_its_remedy(run, here):
    refused = run("view", "1.2.3")
    assert refused.code == 1
    assert "1.2.3 is not in the archive. 'dicomdock pull' retrieves it." in refused.err
    assert run("view", f"{here[0].study}/1.2.3").code == 1


def test_a_patient_nobody_knows_is_reported(run, here):
    refused = run("view", "PatientID=nobody")
    assert refused.code == 1
    assert "nobody" in refused.err


def test_several_studies_are_too_many(run, here):
    refused = run("view", "PatientID=471*")
    assert refused.code == 2
    assert "2 studies are meant; name one of them." in refused.err


@contextmanager
def viewing(*words: str) -> Iterator[tuple[Program, dict[str, str]]]:
    """Run ``dicomdock view`` until the end of the ``with``; gives the program and its JSON document."""
    command = [Path(sys.executable).with_name("dicomdock"), "view", *words, "--no-browser", "--json"]
    with Program(command) as program:
        yield program, program.json()


@pytest.mark.viewer
@pytest.mark.slow
def test_a_series_is_shown_until_ctrl_c(here, viewer_installed):
    series = f"{here[0].study}/{here[0].series}"
    with viewing(series) as (program, said):
        assert f"{said['study']}/{said['series']}" == series
        with urllib.request.urlopen(said["url"], timeout=30) as answer:
            assert b"<html" in answer.read()
        program.signal(signal.SIGINT)
        assert program.ends() == 0, program.stderr
        with pytest.raises(OSError):
            urllib.request.urlopen(said["url"], timeout=5)


@pytest.mark.viewer
@pytest.mark.slow
def test_a_patients_one_study_is_opened_in_the_dock_that_runs(process, here, viewer_installed, monkeypatch):
    home = Path(os.environ["DICOMDOCK_HOME"])
    browser, started = home / "browser", home / "started"
    # What the browser is given is a private file that leads on: other users see the arguments of processes.
    browser.write_text(f'#!/bin/sh\ncat "${{1#file://}}" > {started}\n', "utf-8")
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    with running(home, viewer=True) as dock:
        opened = process("view", "PatientID=4711")
        assert opened.code == 0, opened.err
        assert "opens in the browser" in opened.out
        assert f"{dock.url}/open/{here[0].study}#" in started.read_text()
