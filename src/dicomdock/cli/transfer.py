"""``pull`` and ``push``: move instances between a server and the archive."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import deidentification, sources
from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.formatting import counted, size
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Cancelled, InvalidInput

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.sources import JsonValue
    from dicomdock.transfer import Connect, MissingSource, PullReport, PushReport, Transfer, TransferQueue

commands = typer.Typer()
PATIENCE = 5.0  # seconds that a server may take to say whether it has what a pulled object refers to

Server = Annotated[
    str, typer.Option(metavar="NAME", help="The server; default: the default server.", show_default=False)
]


@commands.command(
    epilog=examples(
        "dicomdock pull 1.2.840.1",
        "dicomdock pull 1.2.840.1/1.2.840.2 --server hospital",
        "dicomdock pull PatientID=4711 StudyDate=20240102",
    )
)
def pull(
    context: typer.Context,
    resources: Annotated[
        list[str],
        typer.Argument(
            metavar="RESOURCE|KEY=VALUE",
            help="STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE; or KEY=VALUE to pull what matches.",
        ),
    ],
    server: Server = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace instances of the same UID whose bytes differ.")
    ] = False,
) -> None:
    """Download studies, series or instances from a server, except what the archive has already."""
    console: Console = context.obj
    name = sources.server_name(console, server)
    with sources.archive(console) as archive:
        wanted = [str(resource) for resource in sources.resources_on(console, name, resources)]
        queue = queue_of(console)
        transfer = queue.add("pull", name, wanted, options={"replace": replace}, claimed=True)
        run(console, queue, transfer, archive)


class OnDuplicate(StrEnum):
    """What to do with instances that the server has already."""

    skip = "skip"
    send = "send"
    fail = "fail"


@commands.command(
    epilog=examples(
        "dicomdock push 1.2.840.1 --server hospital",
        "dicomdock push ./segmentation.dcm ./more-files --server hospital --verify",
        "dicomdock push 1.2.840.1 --server trial --deidentify basic,retain-modified-dates",
    )
)
def push(
    context: typer.Context,
    objects: Annotated[
        list[str],
        typer.Argument(
            metavar="RESOURCE|KEY=VALUE|PATH",
            help="STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE of the archive, or KEY=VALUE for what matches;"
            " or DICOM files and folders.",
        ),
    ],
    server: Server = "",
    on_duplicate: Annotated[
        OnDuplicate, typer.Option(help="What to do with instances that the server has already.")
    ] = OnDuplicate.skip,
    verify: Annotated[
        bool, typer.Option("--verify", help="Retrieve every stored instance again and compare it.")
    ] = False,
    deidentify: deidentification.ProfileOption = "",
    key_file: deidentification.KeyFile = None,
    blank: deidentification.Blank = None,
) -> None:
    """Upload instances of the archive, or files, to a server, and report the result of each."""
    console: Console = context.obj
    options: dict[str, JsonValue] = {"on_duplicate": on_duplicate.value, "verify": verify}
    if deidentification.deidentifier_of(console.settings, deidentify, key_file, blank) is not None:
        from dicomdock.transfer.deidentified import options_for

        options.update(options_for(deidentify, key_file, blank))
    name = sources.server_name(console, server)
    files = [Path(word).absolute() for word in objects if Path(word).exists()]
    named = [word for word in objects if not Path(word).exists()]
    with sources.archive(console) as archive:
        wanted = [str(resource) for resource in sources.resources(_not_paths(named), archive)]
        queue = queue_of(console)
        transfer = queue.add(
            "push",
            name,
            wanted,
            files=map(str, files),
            options=options,
            claimed=True,
        )
        run(console, queue, transfer, archive)


def _not_paths(words: Sequence[str]) -> Sequence[str]:
    for word in words:
        if word.startswith((".", "/", "~")) or Path(word).suffix == ".dcm":
            raise InvalidInput(f"There is no file or folder {word}.")
    return words


def run(
    console: Console,
    queue: TransferQueue,
    transfer: Transfer,
    archive: Archive,
    connect: Connect | None = None,
) -> None:
    """Do a claimed transfer here and now, print its report and end with its exit code.

    Parameters
    ----------
    connect : gives the server; by default by its profile.
    """
    from dicomdock import transfer as transfers

    settings = console.settings
    work = transfers.run(
        queue, transfer, archive, connect or (lambda name: sources.connect(name, settings)), settings
    )
    try:
        report = console.follow(work, f"{transfer.kind} {transfer.server}")
    except Cancelled as error:
        raise Cancelled(f"{error} 'dicomdock transfers resume {transfer.id}' goes on from there.") from error
    if isinstance(report, transfers.PullReport):
        missing = _missing_sources(console, archive, transfer)
        console.result({**report.to_json(), "missing_sources": [one.to_json() for one in missing]})
        _tell_pull(console, report)
        console.note(*(one.sentence for one in missing))
    else:
        console.result(report.to_json())
        _tell_push(console, report)
    console.note(*report.warnings)
    if not report.complete:
        if report.worth_resuming:
            console.note(f"'dicomdock transfers resume {transfer.id}' tries the rest again.")
        else:
            console.note("What is left cannot be sent as it is; another try would not change that.")
        raise typer.Exit(PARTLY if queue.get(transfer.id).state == "partly" else FAILED)


def _missing_sources(console: Console, archive: Archive, transfer: Transfer) -> tuple[MissingSource, ...]:
    """Find what the pulled objects refer to and is not here, and ask every server for it."""
    from dicomdock.config.servers import load_profiles
    from dicomdock.transfer import locate, missing_sources

    resources = map(Resource.parse, transfer.resources)
    found = {one.series: one for resource in resources for one in missing_sources(archive, resource)}
    if not found:
        return ()
    names = load_profiles(console.settings).names
    with sources.Opened(console) as opened:
        places = {name: opened.later(name) for name in names}
        return locate(tuple(found.values()), places, patience=PATIENCE)


def _tell_pull(console: Console, report: PullReport) -> None:
    if report.received:
        rate = size(report.bytes / max(report.seconds, 1e-3))
        moved = f"{counted(report.received, 'instance')} ({size(report.bytes)})"
        console.print(f"{moved} from {report.server} in {report.seconds:.1f} s, {rate}/s.")
    if report.skipped:
        console.print(f"{counted(report.skipped, 'instance')} here already.")
    for failure in report.failures:
        console.note(f"{failure.resource}: {failure.reason}")
    for failure in report.missing:
        never = f"{failure.resource} never arrived: " if failure.resource.instance else ""
        console.note(f"{never}{failure.reason}")
    if report.complete:
        console.print(
            f"Complete: all {counted(report.expected, 'instance')} that {report.server} has are here."
        )


def _tell_push(console: Console, report: PushReport) -> None:
    stored, there = report.count("stored", "warning"), report.count("duplicate")
    if stored:
        moved = f"{counted(stored, 'instance')} ({size(report.bytes)})"
        console.print(f"{moved} stored on {report.server} in {report.seconds:.1f} s.")
    if there:
        console.print(f"{counted(there, 'instance')} there already.")
    if report.passed_over:
        console.print(f"{counted(report.passed_over, 'file')} passed over, which are not DICOM.")
    for result in report.results:
        if result.status in ("failed", "unconfirmed", "warning"):
            instance = f"{result.sop_instance_uid}: " if result.sop_instance_uid else ""
            console.note(f"{instance}{result.status}; {result.reason}")
    if report.complete:
        console.print(f"Complete: {report.server} has all {counted(report.instances, 'instance')}.")


def queue_of(console: Console) -> TransferQueue:
    """Open the list of transfers."""
    from dicomdock.transfer import TransferQueue

    return TransferQueue(console.settings)
