"""What grows with a cohort and an archive: ``python -m benchmarks.scale``.

Storing into an empty index and a large one, an object store beside a folder, and what a function on every
series costs beside the function. Processor time (user and system) of the process that stores is what counts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.builders import ct_series, write
from tests.servers import s3

from benchmarks import large
from benchmarks.goals import shown
from benchmarks.place import Place
from dicomdock.api.archive import Archive
from dicomdock.archive import Archive as LocalArchive
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

ROUNDS = 3
SLICES, SIDE = 150, 512  # a series as scanners make them
SERIES, FEW = 60, 10  # of a cohort of small series, and of one that shows what starting costs
FUNCTION = "def measure(volume):\n    return 1\n"


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return the processor and wall seconds of work, in this process and in those that ended meanwhile."""
    began, wall = os.times(), time.perf_counter()
    work()
    ended = os.times()
    return sum(ended[:4]) - sum(began[:4]), time.perf_counter() - wall


def row(what: str, taken: list[tuple[float, float]], count: int) -> str:
    """Return a row of the table, in milliseconds for each of ``count``; the least of the rounds."""
    cpu, wall = min(one for one, _ in taken) / count, min(one for _, one in taken) / count
    return f"| {what} | {cpu * 1000:.2f} | {wall * 1000:.2f} |"


def settings_in(folder: Path) -> Settings:
    """Return settings of an archive of its own."""
    return Settings(folder / "config", folder / "archive", folder / "state", free_space_floor=0)


def storing(folder: Path, studies: int) -> list[str]:
    """Return what an instance costs to store in an empty index and in a large one."""
    rounds = [[one for _ in range(50) for one in ct_series(4)] for _ in range(ROUNDS)]
    paths = [write(folder / f"small-{number}", made) for number, made in enumerate(rounds)]
    lines = []
    for what, filled in (("an empty index", 0), (f"an index of {studies * 10:,} instances", studies)):
        settings = settings_in(folder / f"stored-{filled}")
        if filled:
            large.fill(settings, filled)
        with LocalArchive.open(settings) as archive:
            taken = [measured(partial(_import, archive, some)) for some in paths]
        lines.append(row(f"store in {what}, an instance", taken, len(paths[0])))
    return lines


def _import(archive: LocalArchive, paths: list[Path]) -> None:
    for _ in archive.import_paths(paths):
        pass


@contextlib.contextmanager
def bucket() -> Iterator[None]:
    """Run an S3 server (moto) in a process of its own, and name it to this one."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.scale", "--s3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        os.environ.update({**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": url})
        yield
        server.communicate()


def stores(folder: Path) -> list[str]:
    """Return what a slice costs to store and to read, in a folder and in a bucket."""
    made = ct_series(SLICES, rows=SIDE, columns=SIDE)
    paths, study = write(folder / "large", made), Resource(made[0].study)
    taken: dict[str, list[tuple[float, float]]] = {}
    with bucket():
        for number in range(ROUNDS):
            for what, url in (("a folder", ""), ("a bucket", f"s3://{s3.BUCKET}/{number}")):
                settings = replace(settings_in(folder / f"{what}-{number}"), object_store=url)
                with LocalArchive.open(settings) as archive:
                    steps = {
                        "store in": partial(_import, archive, paths),
                        "read from": partial(_read, archive, study),
                    }
                    for step, work in steps.items():
                        if url:
                            shutil.rmtree(settings.archive / "cache", ignore_errors=True)
                        taken.setdefault(f"{step} {what}, a slice of 0.5 MB", []).append(measured(work))
    return [row(what, times, SLICES) for what, times in taken.items()]


def _read(archive: LocalArchive, study: Resource) -> int:
    return sum(len(chunk) for part in archive.retrieve(study) for chunk in part.chunks())


def cohort(folder: Path) -> list[str]:
    """Return what a function on every series costs beside the function."""
    settings = settings_in(folder / "cohort")
    made = [ct_series(4) for _ in range(SERIES)]
    code = folder / "own.py"
    code.write_text(FUNCTION)
    with Archive.open(settings) as archive:
        archive.import_paths(write(folder / "in", [one for series in made for one in series]))
        items = [Item(Resource(one[0].study, one[0].series)) for one in made]
        times: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for name, some in (("few", items[:FEW]), ("all", items)):
            Cohorts(settings).save(name, some, {})
            chosen = archive.cohort(name)
            works = {
                "map": lambda chosen=chosen: list(chosen.map(lambda _volume: 1, workers=1)),
                "run": lambda chosen=chosen: list(chosen.running(f"{code}:measure", workers=1, again=True)),
            }
            for kind, work in works.items():
                times.setdefault(kind, {})[name] = [measured(work) for _ in range(ROUNDS)]
    lines = []
    for kind, by_name in times.items():
        least = {name: [min(one) for one in zip(*taken, strict=True)] for name, taken in by_name.items()}
        further = [more - few for more, few in zip(least["all"], least["few"], strict=True)]
        lines.append(row(f"cohort {kind}, a further series of four slices", [(*further,)], SERIES - FEW))
    return lines


def section(here: Place) -> str:
    """Measure, and give the table."""
    lines = ["### What grows with a cohort and an archive", "", "| what | CPU ms | ms |", "|---|---|---|"]
    for part in (stores, cohort, partial(storing, studies=here.effort.studies)):
        lines += part(here.empty(f"scale-{len(lines)}"))
    return shown([*lines, ""])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=large.STUDIES, help="in the large index")
    parser.add_argument("--s3", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.s3:
        with s3.running() as server:
            print(server.url, flush=True)
            sys.stdin.read()
        return
    print("| what | CPU ms | ms |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dicomdock-bench-", dir="/var/tmp") as name:
        for part in (stores, cohort, partial(storing, studies=chosen.studies)):
            folder = Path(name) / str(len(os.listdir(name)))
            folder.mkdir()
            print(*part(folder), sep="\n", flush=True)


if __name__ == "__main__":
    main()
