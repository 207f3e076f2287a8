"""Storms of kills, cuts and transfers in a row: ``make storm``, or a small part of them in a test.

Each kind of storm runs until its count or the budget of time is reached; what does not hold is an
AssertionError that names the kind and the round. Rounds are numbered, and the same number does the same.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dicomdock.archive import Archive
from dicomdock.config.servers import ServerProfile, change_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.transfer.files import parts_of_files
from dicomdock.transfer.pull import pull
from dicomdock.transfer.push import push
from dicomdock.transfer.queue import TransferQueue
from tests.builders import ct_series, write
from tests.dicomweb.awkward import Awkward
from tests.dicomweb.clients import client_of
from tests.dock.running import running
from tests.servers.canned import Answer, Request, answering
from tests.storms.inspection import inspected
from tests.storms.kills import killed_once, prepare
from tests.storms.servers import killed_deidentified, killed_work_list
from tests.storms.test_cuts import Storing
from tests.storms.test_fault_points import CASES
from tests.transfer.conftest import ended

KILLED = ("add", "import", "store", "replace", "remove", "evict", "first open")
LONGEST = 0.6  # seconds after its begin in which an action is killed
KILLS, CUTS, TRANSFERS = 100, 200, 600


@dataclass(frozen=True)
class Storm:
    """A place for storms.

    Parameters
    ----------
    folder : everything is below it.
    """

    folder: Path

    def kill(self, prepared: Path, action: str, number: int) -> None:
        """Kill an action at a random moment, every other time at one of the critical ones."""
        chance = random.Random(f"{action} {number}")
        moments = [case for case in CASES if case[0] == action]
        target = self.folder / f"kill-{number}"
        if number % 2 and moments:
            _, moment, times = chance.choice(moments)
            killed_once(prepared, target, action, moment, times)
        else:
            killed_once(prepared, target, action, after=chance.uniform(0, LONGEST))
        shutil.rmtree(target)

    def kill_dock(self, number: int) -> None:
        """Kill a dock that pulls, and see that what it had is whole and the next one brings the rest."""
        chance = random.Random(f"dock {number}")
        made = ct_series(40)
        home = self.folder / f"dock-{number}"
        settings = Settings(home / "config", home / "archive", home / "state")
        with answering(Awkward(made, levels=("instance",))) as server:
            home.mkdir()
            change_profiles(
                settings, lambda profiles: profiles.with_profile(ServerProfile("box", server.url))
            )
            queue = TransferQueue(settings)
            transfer = queue.add("pull", "box", [made[0].study])
            with running(home) as dock:
                time.sleep(chance.uniform(0, LONGEST))
                os.kill(dock.pid, signal.SIGKILL)
            found = len(inspected(home))
            assert found <= 40
            if queue.get(transfer.id).state != "done":
                queue.resume(transfer.id)
            with Archive.open(settings) as archive, client_of(Awkward(made), settings) as client:
                assert ended(pull(client, archive, [Resource(made[0].study)], settings)).complete
            assert len(inspected(home)) == 40
        shutil.rmtree(home)

    def kill_work_list(self, prepared: Path, number: int) -> None:
        """Kill who works on a work list at a random moment."""
        killed_work_list(prepared, self.folder / f"work-{number}", number)
        shutil.rmtree(self.folder / f"work-{number}")

    def kill_deidentified(self, prepared: Path, number: int) -> None:
        """Kill a server of de-identified copies that starts for the first time."""
        killed_deidentified(prepared, self.folder / f"copies-{number}", number)
        shutil.rmtree(self.folder / f"copies-{number}")

    def cut(self, number: int) -> None:
        """Cut the answers of a pull, or the uploads of a push, at random bytes."""
        chance = random.Random(f"cut {number}")
        made = ct_series(chance.randint(1, 6))
        home = self.folder / f"cut-{number}"
        settings = Settings(home / "config", home / "archive", home / "state", free_space_floor=0)
        if number % 2:
            server = Storing(
                chance.choice(["before it is stored", "after it is stored"]), chance.randint(1, 2)
            )
            parts = parts_of_files(write(home / "files", made))
            with client_of(server, settings) as client:
                report = ended(push(parts, client, settings))
            said = {one.sop_instance_uid: one.status in ("stored", "duplicate") for one in report.results}
            assert said == {one.instance: one.instance in server.stored for one in made}
        else:
            whole = Awkward(made, levels=("instance",))
            left = chance.randint(1, 3)

            def cutting(request: Request) -> Answer | None:
                nonlocal left
                answer = whole(request)
                if answer is None or "/instances/" not in request.path or left <= 0:
                    return answer
                left -= 1
                headers = {**answer.headers, "Content-Length": str(len(answer.body))}
                return Answer(answer.status, answer.body[: chance.randint(0, len(answer.body) - 1)], headers)

            with (
                Archive.open(settings) as archive,
                client_of(cutting, settings, retrieve_level="instance") as client,
            ):
                report = ended(pull(client, archive, [Resource(made[0].study)], settings))
            found = inspected(home)
            assert len(found) == report.received
            assert len(found) + len(report.missing) == len(made)
        shutil.rmtree(home)

    def transfers(self, count: int) -> tuple[int, int, int]:
        """Pull and push in turn; return the growth in files, threads and kilobytes since the tenth."""
        made = ct_series(2)
        home = self.folder / "row"
        settings = Settings(home / "config", home / "archive", home / "state", free_space_floor=0)
        parts = parts_of_files(write(home / "files", made))
        before = (0, 0, 0)
        with Archive.open(settings) as archive:
            for number in range(count):
                with client_of(Awkward(made), settings) as client:
                    assert ended(pull(client, archive, [Resource(made[0].study)], settings)).complete
                with client_of(Storing("", 0), settings) as client:
                    assert ended(push(parts, client, settings)).complete
                archive.remove(Resource(made[0].study))
                if number == 9:
                    before = resources()
            after = resources()
        shutil.rmtree(home)
        files, threads, memory = (now - then for now, then in zip(after, before, strict=True))
        return files, threads, memory


def resources() -> tuple[int, int, int]:
    """Return the open files, threads and resident kilobytes of this process."""
    gc.collect()
    status = Path("/proc/self/status").read_text("ascii")
    return (
        len(os.listdir("/proc/self/fd")),
        threading.active_count(),
        int(status.split("VmRSS:")[1].split()[0]),
    )


def rounds(what: str, count: int, end: float, work: Callable[[int], None]) -> int:
    """Do rounds until their count or the time is reached, and return how many were done."""
    for number in range(count):
        if time.monotonic() > end:
            return number
        try:
            work(number)
        except BaseException:
            print(f"{what}, round {number}: this did not hold", file=sys.stderr)
            raise
    return count


def all_storms(folder: Path, seconds: float) -> Mapping[str, int]:
    """Run all storms, each for its share of the time, and return how many rounds of each were done."""
    storm = Storm(folder)
    prepared = prepare(folder / "prepared")
    work: list[tuple[str, int, Callable[[int], None]]] = [
        *(
            (f"kills: {action}", KILLS, lambda number, action=action: storm.kill(prepared, action, number))
            for action in KILLED
        ),
        ("kills: a running dock", KILLS, storm.kill_dock),
        ("kills: work lists", KILLS, lambda number: storm.kill_work_list(prepared, number)),
        ("kills: serve --deidentify", KILLS, lambda number: storm.kill_deidentified(prepared, number)),
        ("cut pulls and pushes", CUTS, storm.cut),
    ]
    started, done = time.monotonic(), {}
    for position, (what, count, one) in enumerate(work):
        left = seconds - (time.monotonic() - started)
        done[what] = rounds(what, count, time.monotonic() + left / (len(work) + 1 - position), one)
        print(f"{what}: {done[what]} of {count}", flush=True)
    left = seconds - (time.monotonic() - started)
    count = TRANSFERS if left > TRANSFERS * 0.3 else max(60, int(left / 0.3))
    grown = storm.transfers(count // 2)
    done["transfers in a row"] = count // 2 * 2
    print(f"transfers in a row: {count // 2 * 2} of {TRANSFERS}; grown by {grown} (files, threads, kB)")
    assert grown[0] <= 5
    assert grown[1] <= 2
    assert grown[2] < 40_000
    return done


def main() -> None:
    """Run the storms from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0, help="the budget; 1800 by default")
    seconds = parser.parse_args().seconds
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="dicomdock-storm-") as folder:
        all_storms(Path(folder), seconds)


if __name__ == "__main__":
    main()
