"""What happens on this machine alone: starting, importing, serving, memory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.servers.process import ServerProcess, answers_http, free_port

from benchmarks.goals import Goal, record, shown, table
from benchmarks.place import ACCEPT, Place, Series
from benchmarks.rounds import alternate, process
from dicomdock.archive import Archive
from dicomdock.sources import Part


def all_sections(place: Place) -> list[Callable[[], str]]:
    """Return them all."""
    ends = [place.series[0], *(one for one in place.series if one.name.startswith("real"))]
    return [
        partial(start, place),
        *(partial(import_, place, one) for one in ends),
        *(partial(origin, place, one) for one in ends),
        partial(memory, place),
    ]


def start(place: Place) -> str:
    """Run commands that have next to nothing to do, beside Python loading what any client needs."""
    from benchmarks.pull import home_of

    home, series = home_of(place, "starting"), str(place.series[0].resource)
    base = [sys.executable, "-m", "dicomdock.cli", "--home", home]
    process([*base, "pull", series])
    nobody = [*base[:-1], str(place.empty("nobody"))]
    imports, nothing = "import urllib3, sqlite3, json", "python -c pass"
    commands = {
        "dicomdock list": [*base, "list"],
        "dicomdock search": [*base, "search", "studies", "--limit", "1"],
        "dicomdock verify of an empty archive": [*nobody, "verify"],
        "dicomdock pull with nothing to do": [*base, "pull", series],
    }
    program, version = shutil.which("dicomdock") or f"{sys.prefix}/bin/dicomdock", "dicomdock --version"
    runs = alternate(
        {
            imports: partial(process, [sys.executable, "-c", imports]),
            nothing: partial(process, [sys.executable, "-c", "pass"]),
            version: partial(process, [program, "--version"]),
            **{name: partial(process, words) for name, words in commands.items()},
        },
        effort=place.effort,
        rounds=5,
    )
    goals = [Goal(name, imports, 2, processor=True) for name in commands]
    return table("Starting", runs, [Goal(version, nothing, 3), *goals])


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
    return table(f"Download by curl from the origin server: {series.name}", runs, [Goal(ours, theirs, 0.8)])


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
        peak = process([*base, *words]) / 1e6
        lines.append(f"| {what} | {peak:.0f} |")
        record("Peak memory", what, 120, [peak], unit=" MB")
    return shown([*lines, ""])
