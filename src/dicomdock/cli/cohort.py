"""``cohort``: many series at once, as a table that is pulled, computed on, exported and sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import cohort_tasks as tasks
from dicomdock.cli import sources
from dicomdock.cli.cohort_retry import retry
from dicomdock.cli.cohort_tasks import Name, line
from dicomdock.cli.exit_codes import PARTLY
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.cohort.makers import Made
    from dicomdock.sources import DicomSource

commands = typer.Typer()
cohort = typer.Typer(help="Work on many series at once.", no_args_is_help=True)
commands.add_typer(cohort, name="cohort")


@cohort.command(
    epilog=examples(
        "dicomdock cohort make chest --server hospital StudyDate=2024 Modality=CT",
        "dicomdock cohort make chest --from series.csv --server hospital",
        "dicomdock cohort make mine --local PatientID=4711",
        "dicomdock cohort make theirs --from s3://bucket/prefix",
    )
)
def make(
    context: typer.Context,
    name: Name,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Select the series that match.", show_default=False),
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The server that has the series; default: the default server.",
            show_default=False,
        ),
    ] = "",
    local: Annotated[bool, typer.Option("--local", help="Select series of the archive.")] = False,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Read a CSV or Parquet file: StudyInstanceUID, SeriesInstanceUID (else all"
            " series of the study), Server; a manifest of the Imaging Data Commons (.s5cmd); or what is in a"
            " bucket, s3://BUCKET/PREFIX.",
            show_default=False,
        ),
    ] = "",
    idc_index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The table that names a manifest's series; default: that of the package idc-index-data.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Create a cohort: a table of series and where each is stored. An existing name gets a new version."""
    console: Console = context.obj
    from dicomdock.cohort.bucket import from_bucket, is_bucket
    from dicomdock.cohort.folder import Cohorts

    if source and words:
        raise InvalidInput("A cohort is made of what matches KEY=VALUE, or --from a file, not of both.")
    if local and server:
        raise InvalidInput("--local and --server exclude each other.")
    if is_bucket(source) and (local or server):
        raise InvalidInput("Series of a bucket come from the bucket; leave --local and --server away.")
    with ExitStack() as stack:
        open_ = _opener(console, stack)
        if is_bucket(source):
            chosen, name_of_file = "", source
            made = from_bucket(source)
        else:
            chosen, name_of_file = "" if local else sources.server_name(console, server), Path(source).name
            made = (
                _from_file(Path(source), chosen, open_, idc_index)
                if source
                else _found(words or [], chosen, open_)
            )
    facts = {"server": chosen, "query": " ".join(words or ()), "file": name_of_file}
    path = Cohorts(console.settings).save(name, made.items.values(), facts)
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


cohort.command(epilog=examples("dicomdock cohort pull chest", "dicomdock cohort pull chest --workers 2"))(
    tasks.pull
)
cohort.command(
    epilog=examples(
        "dicomdock cohort export chest ./chest --format nifti --deidentify basic",
        "dicomdock cohort export chest ./chest",
    )
)(tasks.export)
cohort.command(
    epilog=examples(
        "dicomdock cohort run chest lungs.py:volume --out lungs.parquet",
        "dicomdock cohort run chest mypackage.lesions:segment --workers 4 --timeout 60",
        "dicomdock cohort run chest --tool totalsegmentator --workers 1",
    )
)(tasks.run)
cohort.command(
    epilog=examples(
        "dicomdock cohort push chest --server trial --deidentify basic",
        "dicomdock cohort push chest --server research",
    )
)(tasks.push)
cohort.command(epilog=examples("dicomdock cohort retry chest"))(retry)


@cohort.command(epilog=examples("dicomdock cohort report chest chest.html"))
def report(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; it must not exist.")],
) -> None:
    """Write an HTML page of a cohort: counts, failures by reason, and a picture of each series."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        archive.cohort(name).report(file)
    console.result({"cohort": name, "file": str(file)})
    console.print(f"The report of {name} is in {file}.")


@cohort.command(epilog=examples("dicomdock cohort status chest", "dicomdock cohort status chest --json"))
def status(context: typer.Context, name: Name) -> None:
    """Show what has been done with a cohort, and what remains."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        chosen = archive.cohort(name)
        reports = chosen.status()
    console.result({"cohort": name, "series": len(chosen.items), "tasks": [one.to_json() for one in reports]})
    console.print(f"Cohort {name}: {counted(len(chosen.items), 'series', 'series')}.")
    for report in reports:
        console.print(line(report))


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


def _from_file(file: Path, server: str, open_: Callable[[str], DicomSource], index: Path | None) -> Made:
    from dicomdock.cohort.idc import ENDINGS, from_manifest
    from dicomdock.cohort.makers import from_file

    if file.suffix.lower() in ENDINGS:
        return from_manifest(file, server, index)
    return from_file(file, server, open_)


def _found(words: list[str], server: str, open_: Callable[[str], DicomSource]) -> Made:
    from dicomdock.cohort.makers import from_search

    match = sources.keys(words)
    if sources.INSTANCE_KEYS.intersection(match):
        raise InvalidInput("A cohort is made of studies and series; no key can select instances.")
    level = "series" if sources.SERIES_KEYS.intersection(match) else "studies"
    return from_search(open_(server), server, match, level)
