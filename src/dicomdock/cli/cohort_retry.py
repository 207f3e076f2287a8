"""``cohort retry``: the tasks of a cohort again of which something failed or is left, as they were begun."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dicomdock.cli import cohort_tasks as tasks
from dicomdock.cli import sources
from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.output import Console
from dicomdock.errors import Cancelled, DicomdockError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from dicomdock.api.cohort import Cohort
    from dicomdock.cohort.task import Per, TaskReport
    from dicomdock.deidentify import Deidentifier
    from dicomdock.sources import JsonValue
    from dicomdock.transfer.progress import Progress


def retry(context: typer.Context, name: tasks.Name) -> None:
    """Do what is left of each task of a cohort, and try again what failed, with the same options.

    A pull comes first. Work on a cluster is done on this machine.
    """
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    reports: list[TaskReport] = []
    refused: dict[str, str] = {}
    with Archive.open(console.settings) as archive:
        cohort = archive.cohort(name)
        for task, options in cohort.incomplete():
            try:
                with ExitStack() as stack:
                    work = _work(console, stack, cohort, task, options)
                    reports.append(console.follow(work, f"{task} of {name}"))
                if options.get("out"):
                    _write(Path(str(options["out"])), name, cohort, reports[-1])
            except Cancelled:
                raise
            except DicomdockError as error:  # the other tasks go on
                refused[task] = str(error)
    console.result(
        {
            "cohort": name,
            "tasks": [report.to_json() for report in reports],
            "refused": [{"task": task, "reason": reason} for task, reason in refused.items()],
        }
    )
    if not reports and not refused:
        console.print(f"Nothing of {name} failed, and nothing is left.")
    for report in reports:
        tasks.show(console, report)
    for task, reason in refused.items():
        console.note(f"{task}: {reason}")
    if refused or not all(report.complete for report in reports):
        raise typer.Exit(PARTLY if any(report.count("done", "unproven") for report in reports) else FAILED)


def _work(
    console: Console, stack: ExitStack, cohort: Cohort, task: str, options: Mapping[str, JsonValue]
) -> Generator[Progress, None, TaskReport]:
    """Begin a task again."""
    kind = task.split(" ")[0]
    workers = int(str(options.get("workers") or 2))
    if kind == "pull":
        return cohort.pulling(workers=workers, requests=int(str(options["requests"])))
    if kind == "run":
        noted = {"out": options["out"]} if options.get("out") else {}
        seconds = float(str(options.get("seconds") or 600.0))
        per: Per = "study" if options.get("per") == "study" else "series"
        function = str(options["function"])
        memory = int(str(options.get("memory") or 0))
        return cohort.running(function, workers=workers, seconds=seconds, memory=memory, per=per, noted=noted)
    deidentifier, noted = _deidentifier(console, options)
    if kind == "export":
        return cohort.exporting(
            Path(str(options["folder"])),
            tasks.Format(str(options["format"])).value,
            deidentifier=deidentifier,
            straighten=bool(options.get("straighten")),
            workers=workers,
            noted=noted,
        )
    client = stack.enter_context(sources.connect(str(options["server"]), console.settings))
    return cohort.pushing(client, deidentifier=deidentifier, workers=workers, noted=noted)


def _deidentifier(
    console: Console, options: Mapping[str, JsonValue]
) -> tuple[Deidentifier | None, dict[str, JsonValue]]:
    """Return what made the copies of a task, and its options.

    Raises
    ------
    InvalidInput
        They are not known.
    """
    from dicomdock.transfer.deidentified import BLANK, DEIDENTIFY, KEY_FILE, deidentifier_for

    if not options.get(DEIDENTIFY):
        return None, {}
    if KEY_FILE not in options:
        raise InvalidInput("An earlier version began it, which did not note the key; give its command again.")
    noted = {key: options[key] for key in (DEIDENTIFY, KEY_FILE, BLANK)}
    return deidentifier_for(console.settings, noted), noted


def _write(path: Path, name: str, cohort: Cohort, report: TaskReport) -> None:
    from dicomdock.cohort import results

    results.check(path)
    results.write(path, name, cohort.items_per(report.per), report)
