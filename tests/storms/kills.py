"""Kill processes in the middle of their work on an archive, and compare what is there afterwards."""

from __future__ import annotations

import hashlib
import shutil
import signal
import sys
from pathlib import Path

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.builders import changed, ct_series, write
from tests.conftest import PROJECT
from tests.programs import Program
from tests.storms.dying import ORIGIN
from tests.storms.inspection import Instance, inspected

NEVER = "never"  # a moment that is not reached: the action ends by itself, or is killed from outside


def prepare(folder: Path) -> Path:
    """Make a home with a pinned study that came from a server, and files beside it."""
    made = ct_series(4)
    folder.mkdir(exist_ok=True)
    (folder / "study").write_text(made[0].study)
    write(folder / "new", ct_series(7))
    write(folder / "old", made)
    write(folder / "corrected", [changed(one, PatientComments="corrected") for one in made])
    with Archive.open(Settings.load(folder / "home")) as archive:
        list(archive.import_paths([folder / "old"], origin=ORIGIN))
        archive.retention.record_sent([made[0].resource], "archive")
        archive.retention.pin(Resource(made[0].study))
    return folder


def kill_at(home: Path, action: str, moment: str, times: int = 1) -> list[str]:
    """Let a process end itself at a moment, and return the lines that it had printed."""
    with Program(_argv(home, action, moment, times), stdin="", cwd=PROJECT) as process:
        if process.ends() != -signal.SIGKILL:
            process.fail(f"was not killed at {moment!r}")
        return process.stdout.split("\n")


def kill_after(home: Path, action: str, seconds: float, begun: str = "open") -> list[str]:
    """Kill a process so long after it printed a first line, and return all lines that it had printed."""
    with Program(_argv(home, action, NEVER, 1), stdin="", cwd=PROJECT) as process:
        process.line(begun)
        if not process.ends_within(seconds):
            process.kill()
        process.ends()
        return process.stdout.split("\n")


def _argv(home: Path, action: str, moment: str, times: int) -> list[str]:
    return [sys.executable, "-m", "tests.storms.dying", str(home), action, moment, str(times)]


def killed_once(
    prepared: Path, folder: Path, action: str, moment: str = NEVER, times: int = 1, after: float = 0.0
) -> int:
    """Kill one action on a copy of a prepared home, check what is there, and return the number of instances.

    Parameters
    ----------
    moment, times : as ``kill_at`` takes them; with ``NEVER`` it is killed after some seconds.
    """
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
        kill_at(home, "add", "commit: renamed")
    printed = kill_after(home, action, after) if moment == NEVER else kill_at(home, action, moment, times)
    found = inspected(home)
    check(before, found, printed, study, folder, action)
    for path in (home / "archive").glob("index.sqlite*"):  # nor is anything in the index alone
        path.unlink()
    assert inspected(home) == found
    list_again(home, folder)
    return len(found)


def digests(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


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
