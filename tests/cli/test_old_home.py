"""A home that an earlier version made: everything in it is still there."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import PROJECT

from dicomdock.config.preferences import Preferences
from dicomdock.config.settings import Settings
from dicomdock.transfer.queue import TransferQueue

OLD = PROJECT / "tests/data/home-0.1"
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text("utf-8"))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(OLD / "home.tar.gz") as packed:
        packed.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old" / "home"


def lost(expected: Any, found: Any, path: str = "") -> list[str]:
    """List what of an expected JSON value is not in another one, which may have more keys."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            each
            for key, value in expected.items()
            for each in (lost(value, found[key], f"{path}/{key}") if key in found else [f"{path}/{key}"])
        ]
    if isinstance(expected, list) and isinstance(found, list):
        missing = [f"{path}/{item}" for item in expected if all(lost(item, other) for other in found)]
        return missing or ([] if len(expected) == len(found) else [f"{path}: {len(found)}"])
    return [] if expected == found else [f"{path}: {found!r}, not {expected!r}"]


@pytest.mark.parametrize("command", EXPECTED)
def test_a_command_reports_what_the_earlier_version_reported(run, old, command):
    ran = run(*command.split(), "--json", "--home", old)
    assert ran.code == 0, ran.err
    assert lost(EXPECTED[command], ran.json) == []


@pytest.mark.slow
def test_a_second_look_finds_the_same(run, old):
    for _ in range(2):
        assert run("verify", "--json", "--home", old).json == EXPECTED["verify"]
        listed = run("transfers", "list", "--json", "--home", old).json
        assert lost(EXPECTED["transfers list"], listed) == []


def test_settings_and_preferences_are_what_they_were(old):
    settings = Settings.load(old)
    assert (settings.series_workers, settings.read_timeout) == (2, 60)
    assert settings.archive_limit == 1_000_000_000
    preferences = Preferences(settings)
    assert preferences.get("theme") == "dark"
    assert preferences.get("open") == "page"
    assert preferences.get("columns") == ["PatientName", "StudyDate"]


def test_the_outcomes_of_single_instances_are_still_recorded(old):
    queue = TransferQueue(Settings.load(old))
    assert [item.status for item in queue.items(6)].count("done") == 3
    assert [item.status for item in queue.items(6)].count("failed") == 3
    assert [item.reason for item in queue.items(8)] == ["the server answered 500"]
    assert queue.get(8).report == {"complete": False}
    assert queue.get(6).options == {"background": True}


def test_an_unfinished_transfer_can_be_cancelled_and_an_ended_one_queued_again(run, old):
    assert run("transfers", "cancel", "9", "--json", "--home", old).json["state"] == "cancelled"
    assert TransferQueue(Settings.load(old)).resume(6).state == "queued"
