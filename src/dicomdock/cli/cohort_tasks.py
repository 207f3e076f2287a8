"""What ``cohort`` does with every series: pull, run, export, push, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import deidentification, sources
from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console
from dicomdock.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from dicomdock.cohort.cluster import Cluster
    from dicomdock.cohort.state import State
    from dicomdock.cohort.task import TaskReport

Name = Annotated[str, typer.Argument(metavar="NAME", help="The cohort.", show_default=False)]
Workers = Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Number of series at a time.")]
ClusterAddress = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="Run on the workers of this Dask cluster, tcp://HOST:8786; they open the same archive.",
        show_default=False,
    ),
]


class Format(StrEnum):
    """What ``cohort export`` writes."""

    dicom = "dicom"
    nifti = "nifti"
    nrrd = "nrrd"
    bids = "bids"


_WORDS = {"series": ("series", "series"), "study": ("study", "studies")}
_SHOWN = 10  # failed series that are shown one by one


def pull(
    context: typer.Context,
    name: Name,
    workers: Workers = 4,
    requests: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=2,
            max=256,
            help="Maximum number of requests to one server at a time, over all workers.",
        ),
    ] = 8,
    cluster: ClusterAddress = "",
) -> None:
    """Bring every series of a cohort here, verified; the same command again does what is left."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        chosen = archive.cohort(name)
        with _cluster(console, cluster) as there:
            work = chosen.pulling(workers=workers, requests=requests, cluster=there)
            ended = console.follow(work, f"pull of {name}")
    _tell(console, name, ended)


def export(
    context: typer.Context,
    name: Name,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder to write to; created if missing.")
    ],
    form: Annotated[Format, typer.Option("--format", help="The file format.")] = Format.dicom,
    straighten: Annotated[
        bool, typer.Option("--straighten", help="Resample volumes of a tilted gantry; not for DICOM.")
    ] = False,
    workers: Workers = 2,
    deidentify: deidentification.ProfileOption = "",
    key_file: deidentification.KeyFile = None,
    blank: deidentification.Blank = None,
) -> None:
    """Write the series of a cohort as files, each whole or not at all; the same command does what is left."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.transfer.deidentified import options_for

    deidentifier = deidentification.deidentifier_of(console.settings, deidentify, key_file, blank)
    if straighten and form is Format.dicom:
        raise InvalidInput("DICOM is exported byte for byte; --straighten is for NIfTI and NRRD.")
    with Archive.open(console.settings) as archive:
        work = archive.cohort(name).exporting(
            folder,
            form.value,
            deidentifier=deidentifier,
            straighten=straighten,
            workers=workers,
            noted=options_for(deidentify, key_file, blank) if deidentify else {},
        )
        ended = console.follow(work, f"export of {name}")
    _tell(console, name, ended)


def run(
    context: typer.Context,
    name: Name,
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="Takes a Volume and returns numbers, a Segmentation or a Volume; also FILE.py:FUNCTION.",
            show_default=False,
        ),
    ] = "",
    tool: Annotated[
        str,
        typer.Option(
            metavar="TOOL",
            help="Run this tool instead of a function; its segmentations are drafts.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a row for each series: .parquet or .csv.", show_default=False
        ),
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Number of processes.")] = 2,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="Time for each call; its process is then killed. Default: 600, or what a tool declares.",
            show_default=False,
        ),
    ] = None,
    memory: Annotated[
        float,
        typer.Option(metavar="GB", min=0, help="Memory that each process may allocate (Linux); 0: no limit."),
    ] = 0,
    per_study: Annotated[
        bool,
        typer.Option("--per-study", help="Call it once for each study, with a list of its volumes."),
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Compute everything again.")] = False,
    cluster: ClusterAddress = "",
) -> None:
    """Run a Python function or a tool on every series of a cohort. Its code runs with your rights.

    What it computed stays until its file changes; the same command again does what is left.
    """
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.cohort import results

    function, seconds = _what_runs(console, function, tool, timeout, per_study=per_study)
    if out is not None:
        results.check(out)
    with Archive.open(console.settings) as archive:
        chosen = archive.cohort(name)
        with _cluster(console, cluster) as there:
            work = chosen.running(
                function,
                workers=workers,
                seconds=seconds,
                memory=int(memory * 1e9),
                again=again,
                per="study" if per_study else "series",
                cluster=there,
                noted={"out": str(out.absolute())} if out is not None else {},
            )
            ended = console.follow(work, f"run on {name}")
    if out is not None:
        results.write(out, name, chosen.items_per(ended.per), ended)
    _tell(console, name, ended)


def _what_runs(
    console: Console, function: str, tool: str, timeout: float | None, *, per_study: bool
) -> tuple[str, float]:
    """Return the name of the function or tool that runs, and the seconds of each call."""
    from dicomdock.api.cohort import SECONDS

    if bool(function) == bool(tool):
        raise InvalidInput("Name a function, MODULE:FUNCTION, or a tool, --tool TOOL.")
    if not tool:
        return function, SECONDS if timeout is None else timeout
    if per_study:
        raise InvalidInput("A tool segments one series at a time; leave --per-study away.")
    from dicomdock.api.cohort_function import TOOL
    from dicomdock.config.tools import ToolFolder
    from dicomdock.tools.service import require_allowed

    declared = ToolFolder(console.settings).get(tool)
    if declared.origin is not None:
        require_allowed(console.settings, declared.origin, f"The tool {tool}")
    return f"{TOOL}{tool}", declared.timeout if timeout is None else timeout


def push(
    context: typer.Context,
    name: Name,
    server: Annotated[
        str, typer.Option(metavar="NAME", help="The server; default: the default server.", show_default=False)
    ] = "",
    workers: Workers = 2,
    deidentify: deidentification.ProfileOption = "",
    key_file: deidentification.KeyFile = None,
    blank: deidentification.Blank = None,
) -> None:
    """Send the series of a cohort to a server; the same command again does what is left."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.transfer.deidentified import options_for

    deidentifier = deidentification.deidentifier_of(console.settings, deidentify, key_file, blank)
    with (
        Archive.open(console.settings) as archive,
        sources.connect(sources.server_name(console, server), console.settings) as client,
    ):
        noted = options_for(deidentify, key_file, blank) if deidentify else {}
        work = archive.cohort(name).pushing(client, deidentifier=deidentifier, workers=workers, noted=noted)
        ended = console.follow(work, f"push of {name}")
    _tell(console, name, ended)


@contextmanager
def _cluster(console: Console, address: str) -> Iterator[Cluster | None]:
    """Connect to a cluster, where one was named."""
    if not address:
        yield None
        return
    try:
        from dicomdock.cohort.cluster import Cluster
    except ImportError:
        raise MissingDependency(
            "What works on a cluster (Dask)", "install it with: pip install 'dicomdock[cluster]'"
        ) from None
    with Cluster(address) as cluster:
        count = cluster.workers
        workers = counted(count, "worker") if count else "No worker yet, and the work waits for one"
        console.note(f"{workers}. Dask's dashboard, if the scheduler runs it: {cluster.dashboard}")
        yield cluster


def _tell(console: Console, name: str, report: TaskReport) -> None:
    """Show the report of a task, and end with its exit code."""
    console.result({"cohort": name, **report.to_json()})
    show(console, report)
    if report.unfinished:
        console.note("'cohort retry' does what is left, and tries again what failed.")
    if not report.complete:
        raise typer.Exit(PARTLY if report.count("done", "unproven") else FAILED)


def show(console: Console, report: TaskReport) -> None:
    """Show how far a task is, and what failed."""
    console.print(line(report))
    failed = [one for one in report.outcomes if one.state == "failed"]
    for one in failed[:_SHOWN]:
        console.note(f"{one.resource}: {one.reason}")
    if len(failed) > _SHOWN:
        more = counted(len(failed) - _SHOWN, *(f"more {word}" for word in _WORDS[report.per]))
        console.note(f"{more} failed; --json lists them all.")
    for state, words in (("unproven", "not proved complete"), ("done", "done with a remark")):
        if remarked := [one for one in report.outcomes if one.state == state and one.reason]:
            count = counted(len(remarked), *_WORDS[report.per])
            console.note(f"{count} {words} (--json lists them), the first {remarked[0].resource}:")
            console.note(remarked[0].reason)
    if report.stopped:
        console.note(report.stopped)


def line(report: TaskReport) -> str:
    """Return how far a task is, as a sentence."""
    parts = [f"{report.task}: {report.count('done'):,} of {counted(report.total, *_WORDS[report.per])} done"]
    states: dict[State, str] = {
        "unproven": "not proved complete",
        "failed": "failed",
        "passed over": "passed over",
    }
    counts = ((report.count(state), words) for state, words in states.items())
    parts.extend(f"{count:,} {words}" for count, words in counts if count)
    if report.left:
        parts.append(f"{report.left:,} left")
    return ", ".join(parts) + "."
