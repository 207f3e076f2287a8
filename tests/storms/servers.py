"""Kill those who work on a work list, and a server of de-identified copies; compare what they promised."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import urllib.request
from pathlib import Path

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text
from dicomdock.worklist.lists import LocalWorkList
from dicomdock.worklist.performer import Performer
from tests.conftest import PROJECT
from tests.programs import Program
from tests.servers.process import ServerProcess, answers_http, free_port
from tests.storms.inspection import inspected
from tests.storms.kills import kill_after

LONGEST = 0.6  # seconds after its begin in which work is killed
STARTS = 3.0  # seconds in which a server starts
STATES = {"created": "SCHEDULED", "claimed": "IN PROGRESS", "completed": "COMPLETED"}
ORDER = [*STATES.values()]


def killed_work_list(prepared: Path, folder: Path, number: int) -> int:
    """Kill who creates, claims and completes steps, and return how many steps there are.

    What was acknowledged is there; a step that was claimed still is, by the same key, and can be completed.
    """
    chance = random.Random(f"work list {number}")
    shutil.copytree(prepared, folder)
    home = folder / "home"
    settings = Settings.load(home)
    lines = kill_after(home, "work list", chance.uniform(0, LONGEST), "created")
    printed = [line.split() for line in lines]
    promised = {words[1]: STATES[words[0]] for words in printed if len(words) == 2}
    assert promised
    with Archive.open(settings) as archive:
        steps = LocalWorkList(archive)
        performer = Performer(steps, settings.state)
        for uid, state in promised.items():
            found = _state(steps, uid)
            assert ORDER.index(found) >= ORDER.index(state), (uid, state, found)
            if found == "IN PROGRESS":
                assert uid in performer.claims
                performer.complete(uid)
        for uid in performer.claims:  # sent, and never answered: who asks again has it, or has completed it
            if _state(steps, uid) == "COMPLETED":
                performer.complete(uid)
            else:
                performer.claim(uid)
        assert {_state(steps, uid) for uid in performer.claims} <= {"IN PROGRESS"}
    with sqlite3.connect(home / "archive/index-worklist.sqlite") as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
    database.close()
    assert inspected(home) == inspected(prepared / "home")
    return len(promised)


def _state(steps: LocalWorkList, uid: str) -> str:
    return text(steps.retrieve(uid), "ProcedureStepState")


def killed_deidentified(prepared: Path, folder: Path, number: int) -> None:
    """Kill a server of de-identified copies at its first start; the next has the same pseudonyms.

    Every other time it is killed while it starts, and makes the key of the pseudonyms.
    """
    chance = random.Random(f"de-identified {number}")
    shutil.copytree(prepared, folder)
    home = folder / "home"
    env = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}

    def serving(log: str) -> tuple[ServerProcess, str]:
        port = free_port()
        argv = [sys.executable, "-m", "dicomdock.cli", "--home", str(home), "serve", "--port", str(port)]
        argv += ["--without-token", "--deidentify", "basic"]
        process = ServerProcess(argv, log=folder / log, ready=lambda: answers_http(port), env=env)
        return process, f"http://127.0.0.1:{port}/dicom-web/studies"

    process, url = serving("first.log")
    first: set[str] | None = None
    if number % 2:
        with process:
            first = _studies(url)
            assert process.process is not None
            os.kill(process.process.pid, signal.SIGKILL)
            process.process.wait()
    else:
        with Program(process.argv, stdin="", cwd=PROJECT, env=process.env) as starting:
            if not starting.ends_within(chance.uniform(0.2, STARTS)):
                starting.kill()
            starting.ends()
    process, url = serving("second.log")
    with process:
        found = _studies(url)
    assert len(found) == 1
    assert first in (None, found)
    assert inspected(home) == inspected(prepared / "home")


def _studies(url: str) -> set[str]:
    request = urllib.request.Request(url, headers={"Accept": "application/dicom+json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return {study["0020000D"]["Value"][0] for study in json.load(answer)}
