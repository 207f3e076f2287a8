"""The process ends at each critical moment of each action: what was acknowledged is there afterwards."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.storage.local import Moment
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.builders import changed, ct_series, write
from tests.conftest import PROJECT
from tests.storms.dying import ORIGIN
from tests.storms.inspection import Instance, inspected

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


def run(home: Path, action: str, moment: str, times: int) -> list[str]:
    """Let a process end itself at a moment, and return the lines that it had printed."""
    argv = [sys.executable, "-m", "tests.storms.dying", str(home), action, moment, str(times)]
    ran = subprocess.run(argv, capture_output=True, text=True, cwd=PROJECT, timeout=300, check=False)
    assert ran.returncode == -signal.SIGKILL, (ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout.split("\n")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a home with a pinned study that came from a server, and files beside it."""
    folder = tmp_path_factory.mktemp("prepared")
    made = ct_series(4)
    (folder / "study").write_text(made[0].study)
    write(folder / "new", ct_series(7))
    write(folder / "old", made)
    write(folder / "corrected", [changed(one, PatientComments="corrected") for one in made])
    with Archive.open(Settings.load(folder / "home")) as archive:
        list(archive.import_paths([folder / "old"], origin=ORIGIN))
        archive.retention.record_sent([made[0].resource], "archive")
        archive.retention.pin(Resource(made[0].study))
    return folder


def digests(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(("action", "moment", "times"), CASES)
def test_nothing_is_lost(prepared: Path, tmp_path: Path, action: str, moment: Moment, times: int) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared, folder)
    home, study = folder / "home", (folder / "study").read_text()
    before = inspected(home)
    index = home / "archive/index.sqlite"
    if action == "first open":
        shutil.rmtree(home)
        before = {}
    elif action == "rebuild":
        index.write_bytes(b"damaged" * 5000)
    elif action == "old archive":
        (home / "archive/journal").unlink()
    elif action == "recover":
        run(home, "add", "commit: renamed", 1)
    printed = run(home, action, moment, times)
    found = inspected(home)
    check(before, found, printed, study, folder, action)
    for path in (home / "archive").glob("index.sqlite*"):  # nor is anything in the index alone
        path.unlink()
    assert inspected(home) == found
    list_again(home, folder)


def check(
    before: dict[str, Instance],
    found: dict[str, Instance],
    printed: list[str],
    study: str,
    folder: Path,
    action: str,
) -> None:
    """Compare what is there with what was there and what was acknowledged."""
    words = [line.split() for line in printed if line]
    stored = {word for line in words for word in line if "/" in word}
    assert stored <= set(found)
    assert {line[1] for line in words if line[0] == "stored-as"} <= {name.split("/")[2] for name in found}
    ours = {name: one for name, one in found.items() if name.startswith(study)}
    assert {one.digest for name, one in found.items() if name not in ours} <= digests(folder / "new")
    origin = "" if action == "store" else ORIGIN
    assert {one.origin for name, one in found.items() if name not in ours} <= {origin}
    if action in ("remove", "evict"):
        # All of it or nothing: the rows go in one transaction.
        assert not ours or set(ours) == set(before)
        assert ["removed"] not in words or not ours
        return
    assert set(ours) == set(before)
    for name, one in ours.items():
        if one.digest == before[name].digest:
            assert one.sent == before[name].sent or (action == "sent" and "clinic" in one.sent)
        else:
            assert action == "replace"
            assert one.digest in digests(folder / "corrected")
            assert one.sent == ("",)
        assert one.origin == ORIGIN
        if action != "pin":
            assert one.pinned
        elif ["unpinned"] in words:
            assert not one.pinned


def list_again(home: Path, folder: Path) -> None:
    """See that the work can be done after all."""
    with Archive.open(Settings.load(home)) as archive:
        *_, report = archive.import_paths([folder / "new", folder / "old"], origin=ORIGIN, replace=True)
        assert report.stored + report.identical == 11
        assert {finding.status for finding in archive.verify()} == {"intact"}
