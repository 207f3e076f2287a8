"""A small part of the storms of ``make storm``, the same at each run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storms.kills import prepare
from tests.storms.storm import KILLED, Storm


@pytest.fixture
def storm(tmp_path: Path) -> Storm:
    return Storm(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("action", KILLED)
def test_kills_at_any_moment(storm: Storm, tmp_path: Path, action: str) -> None:
    storm.kill(prepare(tmp_path / "prepared"), action, 0)


@pytest.mark.slow
def test_cuts(storm: Storm) -> None:
    for number in range(10):
        storm.cut(number)


@pytest.mark.slow
def test_a_killed_dock(storm: Storm) -> None:
    storm.kill_dock(0)


@pytest.mark.slow
def test_killed_work(storm: Storm, tmp_path: Path) -> None:
    prepared = prepare(tmp_path / "prepared")
    for number in range(3):
        storm.kill_work_list(prepared, number)
    storm.kill_deidentified(prepared, 1)


@pytest.mark.slow
def test_transfers_in_a_row_leak_nothing(storm: Storm) -> None:
    files, threads, _ = storm.transfers(20)
    assert files <= 5
    assert threads <= 2
