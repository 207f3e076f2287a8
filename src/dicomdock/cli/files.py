"""``import`` and ``export``: files and folders, into the archive and out of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.exits import FAILED, PARTLY
from dicomdock.cli.terminal import Terminal, counted, examples, size

if TYPE_CHECKING:
    from dicomdock.archive.exporting import Exported
    from dicomdock.archive.importing import ImportProgress
    from dicomdock.transfer import Progress

commands = typer.Typer()


@commands.command(
    "import", epilog=examples("dicomdock import /media/cdrom", "dicomdock import scan1.dcm scan2.dcm")
)
def import_files(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files, and folders to search through.", show_default=False),
    ],
    origin: Annotated[
        str, typer.Option(metavar="NAME", help="The server that they came from, where that is known.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Let other bytes replace what is here under the same UID.")
    ] = False,
) -> None:
    """Take DICOM files into the archive; what is no DICOM is passed over, what is broken is named."""
    terminal: Terminal = context.obj
    with sources.archive(terminal) as archive:
        report = terminal.follow(
            _import(archive.import_paths(paths, origin=origin, replace=replace)), "import"
        )
    terminal.result(
        {
            "files": report.files,
            "instances": {
                "stored": report.stored,
                "identical": report.identical,
                "conflicts": report.conflicts,
                "failed": len(report.failed),
            },
            "skipped": report.skipped,
            "dicomdirs": report.directories,
            "bytes": report.bytes,
            "studies": [*sorted(report.studies)],
            "failures": [{"path": str(item.path), "reason": item.reason} for item in report.failed],
            "conflicting": [str(path) for path in report.conflicting],
        }
    )
    terminal.say(
        f"{counted(report.stored, 'instance')} ({size(report.bytes)}) of"
        f" {counted(len(report.studies), 'study', 'studies')} stored; {report.identical} were here already,"
        f" {counted(report.skipped, 'file')} passed over."
    )
    for failure in report.failed:
        terminal.note(f"{failure.path}: {failure.reason}")
    for path in report.conflicting:
        terminal.note(f"{path}: the archive has this UID with other bytes; --replace takes these.")
    if report.failed or report.conflicts:
        raise typer.Exit(PARTLY if report.stored or report.identical else FAILED)


def _import(steps: Iterator[ImportProgress]) -> Generator[Progress, None, ImportProgress]:
    """Show an import as a transfer; its last step is the report."""
    from dicomdock.transfer import Progress

    start = time.perf_counter()
    step: ImportProgress | None = None
    for step in steps:
        failed = len(step.failed) + step.conflicts
        yield Progress(step.files, None, failed, step.bytes, time.perf_counter() - start, "reading")
    assert step is not None
    return step


@commands.command(
    epilog=examples(
        "dicomdock export 1.2.840.1 ./out",
        "dicomdock export 1.2.840.1 ./study.zip --zip",
        "dicomdock export PatientID=4711 ./out",
    )
)
def export(
    context: typer.Context,
    resources: Annotated[
        list[str],
        typer.Argument(
            metavar="RESOURCE|KEY=VALUE",
            help="STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE; or KEY=VALUE for what matches.",
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to; with --zip the file.", show_default=False)
    ],
    zip_file: Annotated[bool, typer.Option("--zip", help="Write one zip file.")] = False,
) -> None:
    """Copy instances out of the archive, in folders with readable names, byte for byte."""
    terminal: Terminal = context.obj
    with sources.archive(terminal) as archive:
        wanted = sources.resources(resources, archive)
        report = terminal.follow(_export(archive.export(wanted, folder, zip=zip_file)), "export")
    terminal.result({"folder": str(folder), "instances": report.done, "bytes": report.bytes})
    terminal.say(f"{counted(report.done, 'instance')} ({size(report.bytes)}) in {folder}")


def _export(steps: Iterator[Exported]) -> Generator[Progress, None, Progress]:
    """Show an export as a transfer."""
    from dicomdock.transfer import Progress

    start = time.perf_counter()
    moved = Progress()
    for step in steps:
        seconds = time.perf_counter() - start
        moved = Progress(step.done, step.total, 0, moved.bytes + step.size, seconds, "copying")
        yield moved
    return moved
