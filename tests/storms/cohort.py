"""Kill what works on a cohort at random moments: ``python -m tests.storms.cohort --kills 100``.

Workers, functions, the command, the scheduler are killed with -9, the database is restarted and the store
answers 503. The same command is given again until it is done; then everything is there once, and true.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from dicomdock import Archive
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.conftest import PROJECT
from tests.programs import Program
from tests.servers import orthanc, postgresql, s3
from tests.servers.s3 import BUCKET, S3, Faulty
from tests.tutorials.servers import SLICES, ball
from tests.waiting import until

KINDS = (
    "worker",
    "worker",
    "worker",
    "function",
    "function",
    "command",
    "command",
    "scheduler",
    "database",
    "store",
)
FUNCTION = """
import math
import time

from dicomdock import Segmentation


def measure(volume):
    time.sleep(0.1)
    mask = volume.array > 500
    millilitres = mask.sum() * math.prod(volume.geometry.spacing) / 1000
    return {"ml": round(float(millilitres), 3)}, Segmentation.from_array(mask, volume, names=["ball"])
"""
TRIES = 12  # of one command until it is done
EVENTFUL = 2  # tries in which something happens
BLOWS = 3  # workers or functions that are killed in one
LIMIT = 600.0  # seconds for what is stuck


class Cluster:
    """A Dask cluster of two workers that is started anew where its scheduler was killed."""

    def __init__(self) -> None:
        self._program: Program | None = None
        self.address = ""

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._program is None:
            self._program = Program([sys.executable, "-m", "tests.cohort.cluster"], cwd=PROJECT, limit=LIMIT)
            self.address = self._program.line().strip()

    def end(self) -> None:
        """Kill it as a whole; its workers notice."""
        if self._program is not None:
            self._program.__exit__()
            self._program = None

    def processes(self, part: str) -> list[psutil.Process]:
        """Return the processes below it whose command line contains a text."""
        if self._program is None:
            return []
        found = []
        for one in psutil.Process(self._program.pid).children(recursive=True):
            with suppress(psutil.Error):
                if part in " ".join(one.cmdline()):
                    found.append(one)
        return found


class CohortStorm:
    """Servers, a cohort, and what happens to them.

    Parameters
    ----------
    settings : of an archive in the bucket, with its index in PostgreSQL.
    truth : what the function computes for each series.
    cluster : does the work; else the command itself.
    """

    def __init__(
        self,
        settings: Settings,
        store: S3,
        faulty: Faulty,
        truth: dict[Resource, float],
        cluster: Cluster | None,
    ) -> None:
        self.settings, self._store, self._faulty, self._truth = settings, store, faulty, truth
        self.cluster = cluster
        self.happened: Counter[str] = Counter()
        self._code = settings.state.parent / "own.py"
        self._code.write_text(FUNCTION)

    def round(self, chance: random.Random, kinds: tuple[str, ...]) -> None:
        """Pull and compute everything while one thing happens in each, and compare it with the truth."""
        with Archive.open(self.settings) as archive:
            for study in {Resource(one.study) for one in self._truth}:
                if archive.present(study):
                    archive.remove(study)
        (self.settings.state / "cohorts/c/outcomes.db").unlink(missing_ok=True)
        for words in (["pull", "c"], ["run", "c", f"{self._code}:measure"]):
            self._until_done(words, chance, chance.choice(kinds))
        self._compare()

    def _until_done(self, words: list[str], chance: random.Random, kind: str) -> None:
        for number in range(TRIES):
            more: list[str] = []
            if self.cluster is not None:
                self.cluster.start()
                more = ["--cluster", self.cluster.address]
            argv = [sys.executable, "-m", "dicomdock.cli", "cohort", *words, *more]
            with Program(argv, cwd=PROJECT, limit=LIMIT) as command:
                if number < EVENTFUL:
                    self._begun(words[0], command)
                    for _ in range(BLOWS if kind in ("worker", "function") else 1):
                        if not command.ends_within(2 * chance.random()):
                            self._happen(kind, command, chance)
                if command.ends() == 0:
                    return
        raise AssertionError(f"{words} was not done:\n{command.stdout}{command.stderr}")

    def _begun(self, task: str, command: Program) -> None:
        """Wait until a command has its first outcome, or has ended."""

        def look() -> bool:
            if command.ends_within(0.1):
                return True
            found = outcomes.tasks()
            return any(outcomes.of(one) for one in found if one.startswith(task))

        outcomes = Cohorts(self.settings).outcomes("c")
        until(look, f"the first series of {task}", seconds=LIMIT)

    def _happen(self, kind: str, command: Program, chance: random.Random) -> None:
        self.happened[kind] += 1
        if kind in ("worker", "function"):
            part = "spawn_main" if kind == "worker" else "cohort_function"
            assert self.cluster is not None
            if found := self.cluster.processes(part):
                with suppress(psutil.Error):
                    chance.choice(found).kill()
        elif kind == "command":
            command.signal(signal.SIGKILL)
        elif kind == "scheduler":
            assert self.cluster is not None
            self.cluster.end()
        elif kind == "database":
            postgresql.restart(self.settings.database)
        else:
            self._faulty.left = -1
            command.ends_within(5.0)
            self._faulty.left = 0

    def _compare(self) -> None:
        """Compare archive, numbers and status with the truth."""
        with Archive.open(self.settings) as archive:
            cohort = archive.cohort("c")
            for report in cohort.status():
                assert report.complete, report
            run, pull = cohort.status()
            assert {one.resource: one.result["ml"] for one in run.outcomes} == self._truth
            assert {one.resource for one in pull.outcomes} == {*self._truth}
            assert {one: len(archive.present(one)) for one in self._truth} == dict.fromkeys(
                self._truth, SLICES
            )
            saved = {str(one.result["saved"]) for one in run.outcomes}
            assert len(saved) == len(self._truth)
            for study in {one.study for one in self._truth}:  # the images, one segmentation, and nothing more
                assert len(archive.present(Resource(study))) == SLICES + 1
            rows = archive.local.summary().instances
            assert rows == len(self._truth) * (SLICES + 1)
            findings = [*archive.verify()]
            assert [one for one in findings if one.status != "intact"] == []
            assert len(findings) == rows
        keys = {key for key in self._store.objects() if key.endswith(".dcm")}
        assert len(keys) >= rows  # what a killed upload left is deleted when the archive is opened next


@contextmanager
def prepared(folder: Path, studies: int, *, on_cluster: bool) -> Iterator[CohortStorm]:
    """Start what a storm needs, and name it to the processes that it starts."""
    home = folder / "home"
    with ExitStack() as stack:
        pacs = stack.enter_context(orthanc.running(folder, login=False))
        store = stack.enter_context(s3.running())
        database = stack.enter_context(postgresql.running()).format(database="postgres")
        faulty = Faulty(store.url)
        stack.callback(faulty.close)
        values = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": faulty.url, "DICOMDOCK_HOME": str(home)}
        before = {name: os.environ.get(name) for name in values}
        os.environ.update(values)
        stack.callback(_restore, before)
        (home / "config").mkdir(parents=True)
        (home / "config/settings.toml").write_text(
            f'archive = "s3://{BUCKET}/storm"\ndatabase = "{database}"\nfree_space_floor = 0\n'
        )
        settings = Settings.load(home)
        load_profiles(settings).with_profile(ServerProfile("pacs", pacs.url)).save(settings)
        truth = {}
        for number in range(studies):
            made, volume = ball(number)
            pacs.add(*(one.data for one in made))
            truth[Resource(made[0].study, made[0].series)] = round(volume, 3)
        settings.state.mkdir(parents=True, exist_ok=True)
        Cohorts(settings).save("c", [Item(one, "pacs") for one in truth], {})
        cluster = Cluster() if on_cluster else None
        if cluster is not None:
            stack.callback(cluster.end)
        yield CohortStorm(settings, store, faulty, truth, cluster)


def _restore(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def main() -> int:
    """Run rounds until so many things have happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.storms.cohort", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--studies", type=int, default=12)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    with (
        tempfile.TemporaryDirectory(prefix="dicomdock-storm-") as folder,
        prepared(Path(folder), chosen.studies, on_cluster=True) as storm,
    ):
        print(f"seed {chosen.seed}", flush=True)
        while sum(storm.happened.values()) < chosen.kills:
            storm.round(chance, KINDS)
            print(f"{sum(storm.happened.values())}: {dict(storm.happened)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
