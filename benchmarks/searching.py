"""First pages of searches in a large archive, and what eviction takes: ``python -m benchmarks.searching``."""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import large
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query

GOAL = 50.0  # milliseconds for a first page
ROUNDS = 7
SEARCHES: dict[str, Query] = {
    "newest studies": Query("studies"),
    "name Garcia12*": Query("studies", {"PatientName": "Garcia12*"}),
    "name *anaka7*": Query("studies", {"PatientName": "*anaka7*"}),
    "name Xyzzy*, nobody's": Query("studies", {"PatientName": "Xyzzy*"}),
    "name *xyzzy*, nobody's": Query("studies", {"PatientName": "*xyzzy*"}),
    "fuzzy Garzia12^Jane": Query("studies", {"PatientName": "Garzia12^Jane"}, fuzzy=True),
    "fuzzy Xyzzyq, nobody's": Query("studies", {"PatientName": "Xyzzyq"}, fuzzy=True),
    "ID *54321*": Query("studies", {"PatientID": "*54321*"}),
    "accession number, nobody's": Query("studies", {"AccessionNumber": "B1"}),
    "description *axial*, no study's": Query("studies", {"StudyDescription": "*axial*"}),
    "month of 2014": Query("studies", {"StudyDate": "20140301-20140331"}),
    "sex O, nobody's": Query("studies", {"PatientSex": "O"}),
    "studies with a series of MR, none": Query("studies", {"Modality": "MR"}),
    "series of MR, none": Query("series", {"Modality": "MR"}),
    "series of a day": Query("series", {"StudyDate": "20140302"}),
    "series described *axial 7*": Query("series", {"SeriesDescription": "*axial 7*"}),
    "series, station of none": Query("series", {"StationName": "*xyzzy*"}),
    "instances of another class, none": Query("instances", {"SOPClassUID": "1.2.3"}),
    "instances LOCALIZER, none": Query("instances", {"ImageType": "LOCALIZER"}),
    "instances of 1024 rows, none": Query("instances", {"Rows": "1024"}),
    "instances of *xyzzy*, none": Query("instances", {"PatientName": "*xyzzy*"}),
    "instances from 900,000 on": Query("instances", offset=900_000),
    "studies from 90,000 on": Query("studies", offset=90_000),
}


def measure(settings: Settings) -> str:
    """Return the table of one archive."""
    lines = ["| what | median ms | slowest ms |", "|---|---|---|"]
    with Archive.open(settings) as archive:
        for name, asked in SEARCHES.items():
            query = Query(asked.level, asked.match, limit=50, offset=asked.offset, fuzzy=asked.fuzzy)
            taken: list[float] = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                next(iter(archive.search(query)))
                taken.append((time.perf_counter() - began) * 1000)
            median = statistics.median(taken)
            mark = "" if median < GOAL else " **not reached**"
            lines.append(f"| {name} | {median:.1f}{mark} | {max(taken):.1f} |")
            sys.stderr.write(lines[-1] + "\n")
        began = time.perf_counter()
        held = archive.summary().bytes
        summed = time.perf_counter()
        gone = archive.retention.evict(held - 5_000_000)
        lines.append(f"| evict {len(gone.removed)} series | {(time.perf_counter() - summed) * 1000:.0f} | |")
        lines.append(f"| count everything | {(summed - began) * 1000:.0f} | |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines.append(f"| peak memory, MB | {peak:.0f} | |")
    sys.stderr.write("\n".join(lines[-3:]) + "\n")
    return "\n".join(lines)


def main() -> None:
    """Fill an archive and measure it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=large.STUDIES)
    parser.add_argument("--instances", type=int, default=large.INSTANCES)
    parser.add_argument("--database", default="", help="URL of an empty PostgreSQL database")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dicomdock-bench-", dir="/var/tmp") as name:
        home = Path(name)
        settings = Settings(home / "config", home / "archive", home / "state", database=chosen.database)
        began = time.perf_counter()
        large.fill(settings, chosen.studies, chosen.instances)
        sys.stderr.write(f"filled in {time.perf_counter() - began:.0f} s\n")
        print(measure(settings))


if __name__ == "__main__":
    main()
