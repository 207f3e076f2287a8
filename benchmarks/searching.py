"""First pages of searches in a large archive, far pages, and eviction: ``python -m benchmarks.searching``.

The least processor time of a search is its cost where the machine is busy: of this process, and of those in
which a PostgreSQL on this machine serves it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import large
from benchmarks.goals import shown
from benchmarks.place import Place
from dicomdock.archive import Archive
from dicomdock.archive.index.engine import FILE, Index
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query

GOAL = 50.0  # milliseconds for a first page
ROUNDS = 9
PAGE = 50
SEARCHES: dict[str, Query] = {
    "newest studies": Query("studies"),
    "name Garcia-Novak*": Query("studies", {"PatientName": "Garcia-Novak*"}),
    "name Smith*, many": Query("studies", {"PatientName": "Smith*"}),
    "name *anaka-Wei*": Query("studies", {"PatientName": "*anaka-Wei*"}),
    "name ?mith-K*^Z*": Query("studies", {"PatientName": "?mith-K*^Z*"}),
    "name 山田*": Query("studies", {"PatientName": "山田*"}),
    "name *an*, nearly all": Query("studies", {"PatientName": "*an*"}),
    "name Xyzzy*, nobody's": Query("studies", {"PatientName": "Xyzzy*"}),
    "name *xyzzy*, nobody's": Query("studies", {"PatientName": "*xyzzy*"}),
    "fuzzy Garzia-Novak^Zoe": Query("studies", {"PatientName": "Garzia-Novak^Zoe"}, fuzzy=True),
    "fuzzy Smyth, many": Query("studies", {"PatientName": "Smyth"}, fuzzy=True),
    "fuzzy Xyzzyq, nobody's": Query("studies", {"PatientName": "Xyzzyq"}, fuzzy=True),
    "physician Dubois*": Query("studies", {"ReferringPhysicianName": "Dubois*"}),
    "ID of one": Query("studies", {"PatientID": "P0-0000000"}),
    "ID *0012345": Query("studies", {"PatientID": "*0012345"}),
    "ID *12*, many": Query("studies", {"PatientID": "*12*"}),
    "accession number of one": Query("studies", {"AccessionNumber": "200500000007"}),
    "accession number, nobody's": Query("studies", {"AccessionNumber": "B1"}),
    "accession number 2014*": Query("studies", {"AccessionNumber": "2014*"}),
    "study ID 77": Query("studies", {"StudyID": "77"}),
    "description Thorax": Query("studies", {"StudyDescription": "Thorax"}),
    "description *venous*": Query("studies", {"StudyDescription": "*venous*"}),
    "description *axial*, no study's": Query("studies", {"StudyDescription": "*axial*"}),
    "born on a day": Query("studies", {"PatientBirthDate": "19500315"}),
    "month of 2014": Query("studies", {"StudyDate": "20140301-20140331"}),
    "twenty years": Query("studies", {"StudyDate": "20050101-20241231"}),
    "date and time": Query("studies", {"StudyDate": "20140301-20140302", "StudyTime": "0800-0900"}),
    "time 0800-0805": Query("studies", {"StudyTime": "0800-0805"}),
    "sex F": Query("studies", {"PatientSex": "F"}),
    "sex O, nobody's": Query("studies", {"PatientSex": "O"}),
    "modality in study PT": Query("studies", {"ModalitiesInStudy": "PT"}),
    "modality in study OT, few": Query("studies", {"ModalitiesInStudy": "OT"}),
    "studies with a series of XX, none": Query("studies", {"Modality": "XX"}),
    "studies with a series of MR": Query("studies", {"Modality": "MR"}),
    "studies with 2 series": Query("studies", {"NumberOfStudyRelatedSeries": "2"}),
    "Smith* with MR in 2014": Query(
        "studies", {"PatientName": "Smith*", "ModalitiesInStudy": "MR", "StudyDate": "20140101-20141231"}
    ),
    "Garcia* with OT": Query("studies", {"PatientName": "Garcia*", "ModalitiesInStudy": "OT"}),
    "Thorax with MR, none": Query("studies", {"StudyDescription": "Thorax", "ModalitiesInStudy": "MR"}),
    "studies by name": Query("studies", order=("PatientName",)),
    "series of MR": Query("series", {"Modality": "MR"}),
    "series of XX, none": Query("series", {"Modality": "XX"}),
    "series of a day": Query("series", {"StudyDate": "20140302"}),
    "series described *nativ 7*": Query("series", {"SeriesDescription": "*nativ 7*"}),
    "series of the chest": Query("series", {"BodyPartExamined": "CHEST"}),
    "series, station of none": Query("series", {"StationName": "*xyzzy*"}),
    "series of Smith*": Query("series", {"PatientName": "Smith*"}),
    "series of MR of Smith*": Query("series", {"PatientName": "Smith*", "Modality": "MR"}),
    "instances of another class, none": Query("instances", {"SOPClassUID": "1.2.3"}),
    "instances of CT": Query("instances", {"Modality": "CT"}),
    "instances LOCALIZER, none": Query("instances", {"ImageType": "LOCALIZER"}),
    "instances of 1024 rows, none": Query("instances", {"Rows": "1024"}),
    "instances of 512 rows": Query("instances", {"Rows": "512"}),
    "instances of a day": Query("instances", {"ContentDate": "20110312"}),
    "instances of *xyzzy*, none": Query("instances", {"PatientName": "*xyzzy*"}),
    "instances of Smith*": Query("instances", {"PatientName": "Smith*"}),
}
# Where a page begins, as a part of all that the level has.
FAR: dict[str, Query] = {
    "studies": Query("studies"),
    "series": Query("series"),
    "instances": Query("instances"),
    "studies of twenty years": Query("studies", {"StudyDate": "20050101-20251231"}),
    "series of CR": Query("series", {"Modality": "CR"}),
}
DEPTH = {"studies": 0.9, "series": 1.8, "instances": 9.0, "studies of twenty years": 0.9, "series of CR": 0.5}


def _server(settings: Settings) -> float:
    """Return the processor time so far of the processes in which PostgreSQL serves, in milliseconds."""
    if not settings.database:
        return 0.0
    import psycopg

    with psycopg.connect(settings.database) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ).fetchall()
    spent = 0
    for (pid,) in found:
        with suppress(OSError):  # it is on another machine, or has ended
            spent += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return spent / 1e6


def _measured(settings: Settings, work: Callable[[], object]) -> tuple[float, float]:
    """Return the time on the clock and the processor time of work, in milliseconds."""
    server = _server(settings)
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall * 1000, cpu * 1000 + _server(settings) - server


def measure(settings: Settings, studies: int) -> str:
    """Return the table of one archive."""
    lines = ["| what | first ms | median ms | least CPU ms |", "|---|---|---|---|"]
    searches = SEARCHES | {
        f"{name} from {int(DEPTH[name] * studies):,} on": replace(query, offset=int(DEPTH[name] * studies))
        for name, query in FAR.items()
    }

    def add(line: str) -> None:
        lines.append(line)
        sys.stderr.write(f"{line}\n")

    with Archive.open(settings) as archive:
        for name, asked in searches.items():
            query = replace(asked, limit=PAGE)
            _forget(settings)
            times = [_measured(settings, partial(_first_page, archive, query)) for _ in range(ROUNDS)]
            first, median = times[0][0], statistics.median(wall for wall, _ in times)
            least = min(cpu for _, cpu in times)
            mark = "" if least < GOAL else " **not reached**"
            add(f"| {name} | {first:.1f} | {median:.1f} | {least:.1f}{mark} |")
        held = archive.summary().bytes
        limit = held - _of_ten_series(settings)
        works = {
            "evict ten series": partial(archive.retention.evict, limit),
            "count everything": archive.summary,
        }
        for name, work in works.items():
            wall, cpu = _measured(settings, work)
            add(f"| {name} | | {wall:.0f} | {cpu:.0f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    add(f"| peak memory, MB | | {peak:.0f} | |")
    return "\n".join(lines)


def section(here: Place) -> str:
    """Measure the large archive, and give the table."""
    settings, instances = here.large_archive()
    studies = here.effort.studies
    title = f"First pages of 50 among {studies:,} studies and {instances:,} instances"
    return shown([f"### {title}", "", measure(settings, studies), ""])


def _first_page(archive: Archive, query: Query) -> None:
    next(iter(archive.search(query)))


def _of_ten_series(settings: Settings) -> int:
    """Return the bytes of the ten series that are evicted first."""
    index = Index(settings.database, settings.archive)
    with closing(index), index.reading() as connection:
        return sum(connection.column("SELECT size FROM series ORDER BY used, id LIMIT 10"))


def _forget(settings: Settings) -> None:
    """Let the system forget what it has read of SQLite's file; what is mapped in a process stays."""
    if not settings.database and hasattr(os, "posix_fadvise"):
        with (settings.archive / FILE).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Fill an archive and measure it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=large.STUDIES, help="with ten instances on average")
    parser.add_argument("--database", default="", help="URL of an empty PostgreSQL database")
    parser.add_argument("--folder", type=Path, help="stays; one that was filled before is not filled again")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dicomdock-bench-", dir="/var/tmp") as name:
        home: Path = chosen.folder or Path(name)
        settings = Settings(home / "config", home / "archive", home / "state", database=chosen.database)
        if not settings.archive.exists():
            began = time.perf_counter()
            large.fill(settings, chosen.studies)
            sys.stderr.write(f"filled in {time.perf_counter() - began:.0f} s\n")
        print(measure(settings, chosen.studies))


if __name__ == "__main__":
    main()
