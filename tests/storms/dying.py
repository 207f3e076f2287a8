"""Run an action on an archive in a process that ends itself at a named moment; run as a program.

Arguments: the home, the action, the moment, at which time of reaching it to end. What is acknowledged is
printed, a line each.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from dicomdock.archive import Archive
from dicomdock.archive.storage.files import Files
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.sources import Part

GROUP = 3  # files in one commit
ORIGIN = "pacs"


def die_at(moment: str, times: int) -> None:
    """End this process without any warning when a moment is reached for so many times."""
    left = times

    def reached(self: Files, name: str) -> None:
        nonlocal left
        if name == moment:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    Files.reached = reached  # type: ignore[method-assign,assignment]


def acknowledged(*words: str) -> None:
    """Print what is promised from now on."""
    print(*words, flush=True)


def files(home: Path, name: str) -> Iterator[Path]:
    """Return the files of a folder beside the home."""
    yield from sorted((home.parent / name).iterdir())


def add(archive: Archive, home: Path, name: str, *, replace: bool = False) -> None:
    """Add files as a pull does: what a flush has returned for is there."""
    with archive.writer(origin=ORIGIN, replace=replace) as writer:
        group: list[str] = []
        for path in files(home, name):
            group.append(str(writer.add(Part.from_file(path)).resource))
            if len(group) == GROUP:
                writer.flush()
                acknowledged(*(f"stored {one}" for one in group))
                group = []


def act(archive: Archive, home: Path, action: str) -> None:
    """Do one thing with the archive."""
    study = (home.parent / "study").read_text()
    if action == "add":
        add(archive, home, "new")
    elif action == "replace":
        add(archive, home, "corrected", replace=True)
    elif action == "import":
        list(archive.import_paths([home.parent / "new"], origin=ORIGIN))
    elif action == "store":
        for result in archive.store(Part.from_file(path) for path in files(home, "new")):
            acknowledged(f"stored-as {result.sop_instance_uid}")
    elif action == "remove":
        archive.remove(Resource(study))
        acknowledged("removed")
    elif action == "evict":
        archive.retention.unpin(Resource(study))
        acknowledged("unpinned")
        archive.retention.evict(0)
        acknowledged("removed")
    elif action == "pin":
        archive.retention.unpin(Resource(study))
        acknowledged("unpinned")
    elif action == "sent":
        resources = [one.resource for one in archive.instances(Resource(study))]
        archive.retention.record_sent(resources, "clinic")
        acknowledged("sent")
    elif action == "work list":
        work_off(archive, Settings.load(home).state)


def work_off(archive: Archive, state: Path) -> None:
    """Create, claim and complete steps of the work list for ever.

    Parameters
    ----------
    state : folder for the keys of claims.
    """
    # A process that does something else need not import them.
    from dicomdock.worklist.lists import LocalWorkList
    from dicomdock.worklist.performer import Performer

    steps = LocalWorkList(archive)
    for number in count():
        uid = steps.create(
            {
                "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
                "00741200": {"vr": "CS", "Value": ["MEDIUM"]},
                "00741204": {"vr": "LO", "Value": [f"step {number}"]},
                "00404005": {"vr": "DT", "Value": ["20260101120000+0000"]},
                "00404041": {"vr": "CS", "Value": ["READY"]},
            }
        )
        acknowledged("created", uid)
        if number % 3:
            performer = Performer(steps, state)
            performer.claim(uid)
            acknowledged("claimed", uid)
            if number % 3 == 2:
                performer.complete(uid)
                acknowledged("completed", uid)


def main() -> None:
    """Run one action and end in the middle of it."""
    home, action, moment, times = sys.argv[1:]
    die_at(moment, int(times))
    import dicomdock.archive.writer as writer

    writer.GROUP_FILES = GROUP
    with Archive.open(Settings.load(Path(home))) as archive:
        acknowledged("open")
        act(archive, Path(home), action)
    acknowledged("done")


if __name__ == "__main__":
    main()
