"""The process ends at each critical moment of each action: what was acknowledged is there afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from dicomdock.archive.storage.files import Moment
from tests.storms.kills import killed_once, prepare

OPENING = ("open: folders made", "open: index ready")
COMMIT = (
    "receive: written",
    "commit: announced",
    "commit: synced",
    "commit: one renamed",
    "commit: renamed",
    "commit: in the journal",
    "commit: rows inserted",
    "commit: committed",
)
REMOVE = ("remove: rows removed", "remove: one file removed", "remove: in the journal")
REBUILD = (
    "rebuild: announced",
    "rebuild: moved aside",
    "rebuild: tables made",
    "rebuild: some adopted",
    "rebuild: filled",
)
# Action, moment, and at which time of reaching it the process ends.
CASES: list[tuple[str, Moment, int]] = [
    *(("first open", moment, 1) for moment in OPENING),
    *(("add", moment, times) for moment in COMMIT for times in (1, 2)),
    *(("import", moment, 2) for moment in COMMIT[1:]),
    *(("store", moment, 1) for moment in COMMIT),
    *(("replace", moment, 1) for moment in COMMIT),
    *(("remove", moment, 1) for moment in REMOVE),
    *(("evict", moment, 1) for moment in REMOVE),
    ("pin", "pin: in the journal", 1),
    ("sent", "sent: in the journal", 1),
    *(("rebuild", moment, 1) for moment in REBUILD),
    ("recover", "recover: adopted", 1),
    ("old archive", "journal: from the index", 1),
]


def test_every_moment_is_tried() -> None:
    assert {moment for _, moment, _ in CASES} == set(get_args(Moment))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.mark.slow
@pytest.mark.parametrize(("action", "moment", "times"), CASES)
def test_nothing_is_lost(prepared: Path, tmp_path: Path, action: str, moment: Moment, times: int) -> None:
    killed_once(prepared, tmp_path / "copy", action, moment, times)
