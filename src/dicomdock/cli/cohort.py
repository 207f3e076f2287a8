"""``cohort``: many series at once, as a table that is pulled, computed on, exported and sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import deidentification, sources
from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.formatting import counted
from dicomdock.cli.images import Format
from dicomdock.cli.output import Console, examples
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.cohort.makers import Made
    from dicomdock.cohort.task import TaskReport
    from dicomdock.sources import DicomSource

commands = typer.Typer()
cohort = typer.Typer(help="Work on many series at once.", no_args_is_help=True)
commands.add_typer(cohort, name="cohort")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The cohort.", show_default=False)]
Workers = Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Series side by side.")]
_SHOWN = 10  # failed series that are shown one by one


@cohort.command(
    epilog=examples(
        "dicomdock cohort make chest --server hospital StudyDate=2024 Modality=CT",
        "dicomdock cohort make chest --from series.csv --server hospital",
        "dicomdock cohort make mine --local PatientID=4711",
    )
)
def make(
    context: typer.Context,
    name: Name,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Take what matches.", show_default=False)
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Where the series are; else the default server.", show_default=False
        ),
    ] = "",
    local: Annotated[bool, typer.Option("--local", help="Take series of the archive.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Take the rows of a CSV or Parquet file: StudyInstanceUID, SeriesInstanceUID (else all"
            " series of the study), Server.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a cohort: a table of series with where each is. A name that exists gets its next version."""
    console: Console = context.obj
    from dicomdock.api.cohort import save

    if file is not None and words:
        raise InvalidInput("A cohort is made of what matches KEY=VALUE, or --from a file, not of both.")
    if local and server:
        raise InvalidInput("--local and --server exclude each other.")
    chosen = "" if local else sources.server_name(console, server)
    with ExitStack() as stack:
        open_ = _opener(console, stack)
        made = _from_file(file, chosen, open_) if file is not None else _found(words or [], chosen, open_)
    facts = {"server": chosen, "query": " ".join(words or ()), "file": file.name if file else ""}
    path = save(console.settings, name, made, facts)
    items = made.items.values()
    studies = len({one.resource.study for one in items})
    console.result(
        {
            "cohort": name,
            "version": int(path.stem),
            "file": str(path),
            "studies": studies,
            "series": len(items),
            "duplicates": made.duplicates,
            "problems": [*made.problems],
        }
    )
    console.print(
        f"Cohort {name}, version {int(path.stem)}: {counted(len(items), 'series', 'series')} of"
        f" {counted(studies, 'study', 'studies')}."
    )
    if made.duplicates:
        console.note(
            f"{counted(made.duplicates, 'row names a series', 'rows name series')} again; each counts once."
        )
    console.note(*made.problems)
    if made.problems:
        raise typer.Exit(PARTLY)


@cohort.command(epilog=examples("dicomdock cohort pull chest", "dicomdock cohort pull chest --workers 2"))
def pull(
    context: typer.Context,
    name: Name,
    workers: Workers = 4,
    requests: Annotated[
        int,
        typer.Option(
            metavar="N", min=2, max=256, help="Requests to one server at a time, by all workers together."
        ),
    ] = 8,
) -> None:
    """Bring every series of a cohort here, verified; the same command again does what is left."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        chosen = archive.cohort(name)
        settings = console.settings
        work = chosen.pulling(
            lambda server: sources.connect(server, settings), workers=workers, requests=requests
        )
        _tell(console, name, console.follow(work, f"pull of {name}"))


@cohort.command(
    epilog=examples(
        "dicomdock cohort export chest ./chest --format nifti --deidentify basic",
        "dicomdock cohort export chest ./chest",
    )
)
def export(
    context: typer.Context,
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Created where it is missing.")],
    form: Annotated[Format, typer.Option("--format", help="What is written.")] = Format.dicom,
    straighten: Annotated[
        bool, typer.Option("--straighten", help="Resample volumes of a tilted gantry; for NIfTI and NRRD.")
    ] = False,
    workers: Workers = 2,
    deidentify: deidentification.ProfileOption = "",
    key_file: deidentification.KeyFile = None,
    blank: deidentification.Blank = None,
) -> None:
    """Write the series of a cohort as files, each whole or not at all; the same command does what is left."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    deidentifier = deidentification.deidentifier_of(console.settings, deidentify, key_file, blank)
    if straighten and form is Format.dicom:
        raise InvalidInput("DICOM is exported byte for byte; --straighten is for NIfTI and NRRD.")
    with Archive.open(console.settings) as archive:
        work = archive.cohort(name).exporting(
            folder,
            form.value,
            Archive.open,
            deidentifier=deidentifier,
            straighten=straighten,
            workers=workers,
        )
        report = console.follow(work, f"export of {name}")
    _tell(console, name, report)


@cohort.command(
    epilog=examples(
        "dicomdock cohort run chest lungs.py:volume --out lungs.parquet",
        "dicomdock cohort run chest mypackage.lesions:segment --workers 4 --timeout 60",
    )
)
def run(
    context: typer.Context,
    name: Name,
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="Takes a Volume; returns numbers, Segmentation or Volume. FILE.py:FUNCTION too.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a row for each series: .parquet or .csv.", show_default=False
        ),
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Processes side by side.")] = 2,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="For one series; its process is then killed.")
    ] = 600.0,
    again: Annotated[bool, typer.Option("--again", help="Compute everything anew.")] = False,
) -> None:
    """Run a Python function on every series of a cohort. Its code runs with your rights.

    What it computed stays until its file changes; the same command again does what is left.
    """
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.cohort import results

    if out is not None:
        results.check(out)
    with Archive.open(console.settings) as archive:
        chosen = archive.cohort(name)
        work = chosen.running(function, workers=workers, seconds=timeout, again=again)
        report = console.follow(work, f"run on {name}")
    if out is not None:
        results.write(out, name, chosen.items, report)
    _tell(console, name, report)


@cohort.command(epilog=examples("dicomdock cohort status chest", "dicomdock cohort status chest --json"))
def status(context: typer.Context, name: Name) -> None:
    """Show what was done with a cohort, and what is left."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        chosen = archive.cohort(name)
        reports = chosen.status()
    console.result({"cohort": name, "series": len(chosen.items), "tasks": [one.to_json() for one in reports]})
    console.print(f"Cohort {name}: {counted(len(chosen.items), 'series', 'series')}.")
    for report in reports:
        console.print(_line(report))


@cohort.command("list", epilog=examples("dicomdock cohort list"))
def list_cohorts(context: typer.Context) -> None:
    """List the cohorts."""
    console: Console = context.obj
    from dicomdock.cohort.folder import Cohorts

    names = Cohorts(console.settings).names()
    console.result({"cohorts": [*names]})
    console.print(*names)


def _opener(console: Console, stack: ExitStack) -> Callable[[str], DicomSource]:
    """Return what opens a source once, and closes it with the stack; the archive has no name."""
    opened: dict[str, DicomSource] = {}

    def open_(server: str) -> DicomSource:
        if server not in opened:
            if server:
                opened[server] = stack.enter_context(sources.connect(server, console.settings))
            else:
                opened[server] = stack.enter_context(sources.archive(console))
        return opened[server]

    return open_


def _from_file(file: Path, server: str, open_: Callable[[str], DicomSource]) -> Made:
    from dicomdock.cohort.makers import from_file

    return from_file(file, server, open_)


def _found(words: list[str], server: str, open_: Callable[[str], DicomSource]) -> Made:
    from dicomdock.cohort.makers import from_search

    match = sources.keys(words)
    if sources.INSTANCE_KEYS.intersection(match):
        raise InvalidInput("A cohort is made of studies and series; no key can select instances.")
    level = "series" if sources.SERIES_KEYS.intersection(match) else "studies"
    return from_search(open_(server), server, match, level)


def _tell(console: Console, name: str, report: TaskReport) -> None:
    """Show the report of a task, and end with its exit code."""
    console.result({"cohort": name, **report.to_json()})
    console.print(_line(report))
    failed = [one for one in report.outcomes if one.state == "failed"]
    for one in failed[:_SHOWN]:
        console.note(f"{one.resource}: {one.reason}")
    if len(failed) > _SHOWN:
        console.note(
            f"{counted(len(failed) - _SHOWN, 'more series', 'more series')} failed; --json lists them all."
        )
    if report.stopped:
        console.note(report.stopped)
    if not report.complete:
        console.note("The same command again does what is left, and tries again what failed.")
        raise typer.Exit(PARTLY if report.count("done") else FAILED)


def _line(report: TaskReport) -> str:
    parts = [f"{report.task}: {report.count('done'):,} of {counted(report.total, 'series', 'series')} done"]
    counts = ((report.count(state), state) for state in ("failed", "passed over"))
    parts.extend(f"{count:,} {state}" for count, state in counts if count)
    if report.left:
        parts.append(f"{report.left:,} left")
    return ", ".join(parts) + "."
