"""``worklist``: the walk of a step on the archive's own list and on that of a server, by commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.origin.running import serving
from tests.worklist.test_procedure_step import SCHEDULED

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings


def _walk(run: Run, *where: str) -> None:
    made = run("worklist", "create", "segment the liver", "--study", "1.2.840.7", "--json", *where).json
    uid = made["uid"]
    listed = run("worklist", "list", "ProcedureStepState=SCHEDULED", "--json", *where).json["steps"]
    assert {"uid": uid, "state": "SCHEDULED", "label": "segment the liver"}.items() <= listed[0].items()
    assert run("worklist", "complete", uid, *where).code == 1  # nobody claimed it here
    assert run("worklist", "claim", uid, *where).code == 0
    done = run("worklist", "complete", uid, "--comment", "two lesions", *where)
    assert (done.code, f"{uid} is completed." in done.out) == (0, True)
    assert "ProcedureStepState: COMPLETED" in run("worklist", "show", uid, *where).out
    other = run("worklist", "create", "once more", "--json", *where).json["uid"]
    assert run("worklist", "cancel", other, "--reason", "a duplicate", "--json", *where).json["canceled"]
    assert "2 steps" in run("worklist", "list", *where).out


@pytest.mark.slow
def test_work_is_taken_from_the_archives_own_list(run: Run, tmp_path: Path) -> None:
    _walk(run)
    file = tmp_path / "step.json"
    file.write_text(json.dumps({**SCHEDULED, "00080018": {"vr": "UI", "Value": ["1.2.840.5"]}}))
    assert run("worklist", "create", "--from", file, "--json").json["uid"] == "1.2.840.5"
    assert run("worklist", "create").code == 2
    assert run("worklist", "create", "both", "--from", file).code == 2
    assert run("worklist", "show", "1.2.840.6").code == 1


@pytest.mark.slow
def test_work_is_taken_from_the_list_of_a_server(
    run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Settings(
        tmp_path / "there" / "config", tmp_path / "there" / "archive", tmp_path / "there" / "state"
    )
    with Archive.open(elsewhere) as archive, serving(archive) as server:
        assert run("server", "add", "there", server.url).code == 0
        _walk(run, "--server", "there")
        assert run("worklist", "list", "--json").json["steps"] == []
