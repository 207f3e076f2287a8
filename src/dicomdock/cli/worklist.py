"""``worklist``: take work from a work list, the archive's own or one of a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.dicom.json_model import DicomJson
    from dicomdock.worklist.lists import WorkList

commands = typer.Typer(
    name="worklist",
    help="Take work from a work list (UPS): the archive's own, or one of a server.",
    no_args_is_help=True,
)
Server = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Use the work list of this server; default: the archive's own.",
        show_default=False,
    ),
]
Step = Annotated[
    str, typer.Argument(metavar="UID", help="SOP Instance UID of the procedure step.", show_default=False)
]


@commands.command(
    "list",
    epilog=examples(
        "dicomdock worklist list",
        "dicomdock worklist list ProcedureStepState=SCHEDULED --server hospital",
        "dicomdock worklist list PatientID=17 --json",
    ),
)
def list_(
    context: typer.Context,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Only steps that match.", show_default=False),
    ] = None,
    server: Server = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of steps to list.", show_default=False)
    ] = None,
) -> None:
    """List procedure steps."""
    console: Console = context.obj
    from dicomdock.dicom.query import Query

    query = Query("instances", sources.keys(keys or ()), limit=limit)
    with _work_list(console, server) as steps:
        rows = [_row(step) for step in steps.search(query)]
        console.result({"worklist": steps.name, "steps": [{**row} for row in rows]})
        for row in rows:
            console.print("  ".join((row["uid"], row["state"], row["priority"], row["label"])).rstrip())
        console.print(f"{counted(len(rows), 'step')} on the work list of {steps.name}.")


@commands.command(epilog=examples("dicomdock worklist show 1.2.840.1"))
def show(context: typer.Context, uid: Step, server: Server = "") -> None:
    """Show a procedure step with all its attributes."""
    console: Console = context.obj
    from dicomdock.dicom.json_model import flatten

    with _work_list(console, server) as steps:
        shown = flatten(steps.retrieve(uid))
    console.result(dict(shown))
    for keyword, value in shown.items():
        console.print(f"{keyword}: {value}")


@commands.command(
    epilog=examples(
        "dicomdock worklist create 'segment the liver' --study 1.2.840.7",
        "dicomdock worklist create --from step.json --server hospital",
    )
)
def create(
    context: typer.Context,
    label: Annotated[
        str, typer.Argument(metavar="LABEL", help="Procedure Step Label: what to do.", show_default=False)
    ] = "",
    study: Annotated[str, typer.Option(metavar="UID", help="The study to work on.", show_default=False)] = "",
    priority: Annotated[str, typer.Option(help="HIGH, MEDIUM or LOW.")] = "MEDIUM",
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="The step as DICOM JSON.", show_default=False),
    ] = None,
    server: Server = "",
) -> None:
    """Create a procedure step."""
    console: Console = context.obj
    attributes = _attributes(label, study, priority, file)
    with _work_list(console, server) as steps:
        uid = steps.create(attributes)
        console.result({"worklist": steps.name, "uid": uid})
        console.print(f"Created {uid} on the work list of {steps.name}.")


@commands.command(epilog=examples("dicomdock worklist claim 1.2.840.1 --server hospital"))
def claim(context: typer.Context, uid: Step, server: Server = "") -> None:
    """Claim a step: nobody else can claim it until it is completed or canceled."""
    console: Console = context.obj
    from dicomdock.worklist.performer import Performer

    with _work_list(console, server) as steps:
        remarks = Performer(steps, console.settings.state).claim(uid)
        console.result({"worklist": steps.name, "uid": uid, "claimed": True, "remarks": [*remarks]})
        console.print(f"{uid} is yours.")
        console.note(*remarks)


@commands.command(epilog=examples("dicomdock worklist complete 1.2.840.1 --comment 'two lesions'"))
def complete(
    context: typer.Context,
    uid: Step,
    comment: Annotated[str, typer.Option(metavar="TEXT", help="What was done.", show_default=False)] = "",
    server: Server = "",
) -> None:
    """Complete a step that was claimed here; what its final state requires is filled in."""
    console: Console = context.obj
    from dicomdock.worklist.performer import Performer

    with _work_list(console, server) as steps:
        Performer(steps, console.settings.state).complete(uid, comment=comment)
        console.result({"worklist": steps.name, "uid": uid, "completed": True})
        console.print(f"{uid} is completed.")


@commands.command(epilog=examples("dicomdock worklist cancel 1.2.840.1 --reason 'wrong study'"))
def cancel(
    context: typer.Context,
    uid: Step,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.", show_default=False)] = "",
    server: Server = "",
) -> None:
    """Cancel a step that was claimed here; for any other one, request its cancellation."""
    console: Console = context.obj
    from dicomdock.worklist.performer import Performer

    with _work_list(console, server) as steps:
        canceled = Performer(steps, console.settings.state).cancel(uid, reason=reason)
        console.result({"worklist": steps.name, "uid": uid, "canceled": canceled})
        console.print(
            f"{uid} is canceled." if canceled else f"Those who watch {uid} were asked to cancel it."
        )


@contextmanager
def _work_list(console: Console, server: str) -> Iterator[WorkList]:
    from dicomdock.worklist.lists import LocalWorkList, RemoteWorkList

    if server in ("", "local"):
        with sources.archive(console) as archive:
            yield LocalWorkList(archive)
    else:
        with sources.connect(server, console.settings) as client:
            yield RemoteWorkList(client)


def _row(step: DicomJson) -> Mapping[str, str]:
    from dicomdock.dicom.json_model import text

    return {
        "uid": text(step, "SOPInstanceUID"),
        "state": text(step, "ProcedureStepState"),
        "priority": text(step, "ScheduledProcedureStepPriority"),
        "label": text(step, "ProcedureStepLabel"),
        "start": text(step, "ScheduledProcedureStepStartDateTime"),
        "patient_id": text(step, "PatientID"),
        "study": text(step, "StudyInstanceUID"),
    }


def _attributes(label: str, study: str, priority: str, file: Path | None) -> DicomJson:
    from dicomdock.dicom.uid import check_uid
    from dicomdock.worklist.data_set import read_data_set

    if file is not None:
        if label:
            raise InvalidInput("A step is made of a LABEL or of --from FILE, not of both.")
        return read_data_set(file.read_bytes())
    if not label:
        raise InvalidInput("A step needs a LABEL, or --from FILE.")
    start = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    made: DicomJson = {
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00741200": {"vr": "CS", "Value": [priority.upper()]},
        "00741204": {"vr": "LO", "Value": [label]},
        "00404005": {"vr": "DT", "Value": [start]},
        "00404041": {"vr": "CS", "Value": ["READY"]},
    }
    return {**made, "0020000D": {"vr": "UI", "Value": [check_uid(study)]}} if study else made
