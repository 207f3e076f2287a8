"""What happens on this machine alone: starting, importing, searching a large archive, serving, memory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from tests.servers.process import ServerProcess, answers_http, free_port

from benchmarks.place import ACCEPT, Place, Series
from benchmarks.rounds import Goal, alternate, process, table
from dicomdock.archive import Archive
from dicomdock.dicom.query import Query
from dicomdock.sources import Part


def all_sections(place: Place) -> list[Callable[[], str]]:
    """Return them all."""
    ends = [place.series[0], *(one for one in place.series if one.name.startswith("real"))]
    return [
        partial(start, place),
        *(partial(import_, place, one) for one in ends),
        *(partial(origin, place, one) for one in ends),
        partial(memory, place),
        partial(search, place),
    ]


def start(place: Place) -> str:
    """State the version, beside Python doing nothing."""
    nothing, ours = "python -c pass", "dicomdock --version"
    program = shutil.which("dicomdock") or f"{sys.prefix}/bin/dicomdock"
    runs = alternate(
        {
            nothing: lambda: process([sys.executable, "-c", "pass"]),
            ours: lambda: process([program, "--version"]),
        },
        effort=place.effort,
        rounds=15,
    )
    return table("Starting", runs, [Goal(ours, nothing, 3)])


def import_(place: Place, series: Series) -> str:
    """Import a folder, beside reading each header with pydicom and copying the file, all in one process."""
    from benchmarks.peers import bare_import

    bare, ours = "pydicom header reads + copies", "dicomdock import"
    source = series.files[0].parent
    settings = place.settings("import")
    opened: list[Archive] = []

    def before() -> None:
        place.empty("bare")
        while opened:
            opened.pop().close()
        place.new_archive("import")
        opened.append(Archive.open(settings))

    def work() -> None:
        (*_, report) = opened[0].import_paths([source])
        assert report.done and report.stored == len(series.files), report

    runs = alternate(
        {bare: lambda: bare_import(str(source), str(place.folder / "bare")), ours: work},
        effort=place.effort,
        before=before,
    )
    opened.pop().close()
    return table(f"Import: {series.name}", runs, [Goal(ours, bare, 1.3)])


@contextmanager
def _serving(place: Place, series: Series) -> Iterator[int]:
    """Run `dicomdock serve` over an archive that holds the series."""
    home = place.folder / "origin"
    with Archive.open(place.settings("origin")) as archive, archive.writer() as writer:
        for file in series.files:
            writer.add(Part.from_file(file))
    port = free_port()
    serve = ["serve", "--without-token", "--port", str(port)]
    argv = [sys.executable, "-m", "dicomdock.cli", "--home", str(home), *serve]
    with ServerProcess(argv, log=place.folder / "serve.log", ready=lambda: answers_http(port)):
        yield port


def origin(place: Place, series: Series) -> str:
    """Download a series with curl from Orthanc and from our origin server."""
    theirs, ours = "Orthanc", "dicomdock origin server"
    with _serving(place, series) as port:
        mine = [
            "curl", "-sSf", "-H", f"Accept: {ACCEPT}", "-o", str(place.folder / "origin.bin"),
            f"http://127.0.0.1:{port}/dicom-web{series.resource.path}",
        ]  # fmt: skip
        runs = alternate(
            {theirs: lambda: process(place.curl(series.resource)), ours: lambda: process(mine)},
            effort=place.effort,
        )
    return table(f"Download by curl from the origin server: {series.name}", runs, [Goal(ours, theirs, 1.0)])


def memory(place: Place) -> str:
    """Peak memory of pulls and pushes as processes, small and large."""
    from benchmarks.pull import home_of

    home = home_of(place, "memory")
    base = [sys.executable, "-m", "dicomdock.cli", "--home", home]
    small, study = place.series[0], place.series[0].resource.study
    size = sum(one.bytes for one in place.series if one.resource.study == study) / 1e6
    lines = ["### Peak memory of whole processes", "", "| what | peak MB |", "|---|---|"]
    for what, words in (
        (f"pull of a series, {small.bytes / 1e6:.0f} MB", ["pull", str(small.resource), "--json"]),
        (f"pull of a study, {size:.0f} MB", ["pull", study, "--replace", "--json"]),
        (f"push of a study, {size:.0f} MB", ["push", study, "--server", "orthanc", "--on-duplicate", "send"]),
        (f"verify of {size:.0f} MB", ["verify"]),
    ):
        lines.append(f"| {what} | {process([*base, *words]) / 1e6:.0f} |")
    lines += ["", "Goal: under 120 MB whatever the size.", ""]
    sys.stderr.write("\n".join(lines) + "\n")
    return "\n".join(lines)


def search(place: Place) -> str:
    """First page of 50 out of 100,000 studies with about 1,000,000 instances."""
    studies = place.effort.studies
    settings, instances = place.large_archive()
    queries = {
        "newest first": {},
        "patient name wildcard Garcia-Novak*": {"PatientName": "Garcia-Novak*"},
        "patient name wildcard *anaka-Wei*": {"PatientName": "*anaka-Wei*"},
        "date range of a month": {"StudyDate": "20140301-20140331"},
        "date range of ten years": {"StudyDate": "20100101-20191231"},
        "patient ID": {"PatientID": "P0-0000000"},
        "nobody": {"PatientName": "Xyzzy*"},
    }
    with Archive.open(settings) as archive:

        def asking(match: dict[str, str]) -> Callable[[], None]:
            return lambda: next(iter(archive.search(Query("studies", match, limit=50)))) and None

        asked = {name: asking(match) for name, match in queries.items()}
        runs = alternate(asked, effort=replace(place.effort, seconds=0.0), rounds=9)
    lines = [
        f"### First page of 50 among {studies:,} studies and {instances:,} instances", "",
        "| search | median ms | slowest ms |", "|---|---|---|",
    ]  # fmt: skip
    for name, one in runs.items():
        lines.append(f"| {name} | {one.median * 1000:.1f} | {max(one.seconds) * 1000:.1f} |")
    slowest = max(one.median for one in runs.values()) * 1000
    verdict = "reached" if slowest < 50 else "**not reached**"
    lines += ["", f"- Goal: under 50 ms; the slowest median is {slowest:.1f} ms ({verdict}).", ""]
    sys.stderr.write("\n".join(lines) + "\n")
    return "\n".join(lines)
