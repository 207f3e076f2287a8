"""``tool`` and ``cohort run --tool``, as a person uses them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.api.test_tools import LABELS, SCRIPT, gone
from tests.builders import write
from tests.cli.conftest import Run
from tests.imaging.scans import oblique, scan

from dicomdock.archive import Archive
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource


@pytest.fixture
def series(settings: Settings, tmp_path: Path) -> list[Resource]:
    """Return two series of the archive."""
    import numpy as np

    found = []
    with Archive.open(settings) as archive:
        for number in (1, 2):
            array = (np.arange(6 * 10 * 12).reshape(6, 10, 12) * number % 500).astype(np.int16)
            made = scan(array, oblique((0, 0, 0), (2, 1, 1), (0, 0, 0)), PatientID=f"P{number}")
            list(archive.import_paths(write(tmp_path / f"made{number}", made)))
            found.append(Resource(made[0].study, made[0].series))
    return found


def declare(run: Run, folder: Path, mode: str, more: str = "") -> Path:
    file = folder / f"{mode}.toml"
    command = json.dumps([sys.executable, str(SCRIPT), mode, "{input}", "{output}"])
    about = f'name = "{mode}"\ndescription = "Grey values"\nenvironment = ["PIDS"]'
    file.write_text(f"{about}\ncommand = {command}\n{more}\n{LABELS}")
    added = run("tool", "add", file)
    assert added.code == 0, added.err
    return file


@pytest.mark.slow
def test_a_tool_from_its_declaration_to_an_accepted_segmentation(run, series, tmp_path):
    assert "dicomdock tool add FILE" in run("tool", "list").out
    declare(run, tmp_path, "works")
    shown = run("tool", "show", "works").out
    assert "2 left kidney: Kidney (SCT 64033007)" in shown and "3 Spleen: Spleen (SCT 78961009)" in shown
    assert run("tool", "list").out.startswith("works  ")
    assert run("tool", "list", "--json").json["tools"][0]["labels"][0]["code"] == "SCT:10200004"
    assert run("tool", "run", "other", series[0]).code == 1
    assert run("tool", "run", "works", series[0].study).code == 2
    ran = run("tool", "run", "works", series[0])
    assert ran.code == 0 and "stored as a draft" in ran.out and "s] half way" in ran.err
    draft = ran.out.splitlines()[-1].strip()
    assert run("tool", "accept", draft, "--by", "Doe^Jane").code == 0
    refused = run("tool", "accept", draft.rpartition("/")[0] + "/2.25.99", "--by", "Doe^Jane")
    assert refused.code == 1 and "is not in the local archive" in refused.err
    assert run("tool", "remove", "works").code == 0
    assert "There is no tool 'works'" in run("tool", "remove", "works").err


@pytest.mark.slow
def test_several_series_some_of_which_fail(run, series, tmp_path):
    declare(run, tmp_path, "fails")
    ran = run("tool", "run", "fails", *series, "--json")
    assert ran.code == 1 and len(ran.json["failures"]) == 2
    assert "out of memory on the device" in ran.json["failures"][0]["reason"]


def test_a_service_is_allowed_and_its_token_is_stored_unseen(run, tmp_path, settings):
    file = tmp_path / "far.toml"
    file.write_text(f'name = "far"\nendpoint = "https://gpu.invalid/v1"\n{LABELS}')
    added = run("tool", "add", file, "--token-stdin", stdin="s3cret-token\n")
    assert added.code == 0 and "dicomdock tool allow https://gpu.invalid" in added.err
    assert "s3cret" not in (settings.config / "tools" / "far.toml").read_text() + added.out + added.err
    assert "s3cret-token" in (settings.config / "secrets.json").read_text()
    assert run("tool", "allow").out == "Pixels may be sent to no other machine.\n"
    assert run("tool", "allow", "https://gpu.invalid").out == "https://gpu.invalid:443\n"
    assert "are sent" not in run("tool", "allow", "https://gpu.invalid", "--revoke").out
    run("tool", "remove", "far")
    assert "s3cret" not in (settings.config / "secrets.json").read_text()
    file.write_text(f'name = "far"\nendpoint = "http://gpu.invalid/v1"\n{LABELS}')
    refused = run("tool", "add", file, "--token-stdin", stdin="s3cret-token\n")
    assert refused.code == 2 and "not sent unencrypted" in refused.err
    assert run("tool", "add", file, "--allow").code == 0
    assert run("tool", "allow", "--json").json["allowed"][0]["origin"] == "http://gpu.invalid:80"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_tool_and_stores_nothing(run, series, tmp_path, settings, number):
    declare(run, tmp_path, "hangs")
    words = [Path(sys.executable).with_name("dicomdock"), "tool", "run", "hangs", str(series[0])]
    environment = {**os.environ, "PIDS": str(tmp_path / "pids")}
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "child" in line:
                break
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 130 and "was cancelled; nothing was stored" in rest
    assert all(map(gone, map(int, (tmp_path / "pids").read_text().split())))
    with Archive.open(settings) as archive:
        assert len(archive.instances(Resource(series[0].study))) == 6


@pytest.mark.slow
def test_a_tool_on_a_cohort(run, series, tmp_path, settings):
    """Two series are segmented, once each; a tool that hangs is ended with what it started."""
    declare(run, tmp_path, "works")
    Cohorts(settings).save("c", [Item(one) for one in series], {})
    assert run("cohort", "run", "c").code == 2
    assert run("cohort", "run", "c", "--tool", "other").code == 1
    ran = run("cohort", "run", "c", "--tool", "works", "--json")
    assert ran.code == 0, ran.err
    with Archive.open(settings) as archive:
        for one in series:
            assert len(archive.instances(Resource(one.study))) == 7
    assert run("cohort", "run", "c", "--tool", "works", "--json").json["now"] == 0


@pytest.mark.slow
def test_a_tool_that_hangs_on_a_cohort_is_ended(run, series, tmp_path, settings, monkeypatch):
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    declare(run, tmp_path, "hangs", "timeout = 4")
    Cohorts(settings).save("c", [Item(series[0])], {})
    ran = run("cohort", "run", "c", "--tool", "hangs", "--json")
    assert ran.code == 1 and "longer than 4 seconds" in ran.json["failures"][0]["reason"]
    assert all(map(gone, map(int, (tmp_path / "pids").read_text().split())))
