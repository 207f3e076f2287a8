"""``open``: do what a web page's link asks for."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources, view
from dicomdock.cli.describe import describe
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import MAX_SECRET, Console, examples
from dicomdock.cli.transfer import queue_of, run
from dicomdock.dicom.resource import Resource
from dicomdock.errors import LaunchError

if TYPE_CHECKING:
    from dicomdock.dicomweb import Client
    from dicomdock.launch.link import LaunchRequest
    from dicomdock.launch.trust import Allowed, Question

commands = typer.Typer()


@commands.command(
    "open",
    epilog=examples(
        "dicomdock open 'slicer://viewer/?studyUID=1.2.3&dicomweb_endpoint=https%3A%2F%2Fpacs.example.org%2Fdicom-web'",
        "dicomdock open https://pacs.example.org/dicom-web/studies/1.2.3",
        "dicomdock open - < link.txt",
    ),
)
def open_link(
    context: typer.Context,
    link: Annotated[
        str,
        typer.Argument(
            help="The link; - reads it from standard input, so that no other user can see its token.",
            show_default=False,
        ),
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Open it without asking, even if its server is not trusted.")
    ] = False,
    no_view: Annotated[
        bool, typer.Option("--no-view", help="Pull the study in this terminal, and do not show it.")
    ] = False,
) -> None:
    """Open a link as a click on it does: ask, pull its study and show it, in the dock if one runs.

    With --yes, --no-view or --json, or if no dock runs, this happens in the terminal.
    """
    from dicomdock.launch.link import parse
    from dicomdock.transfer.linked import connect_link

    console: Console = context.obj
    link = (sys.stdin.read(MAX_SECRET) if link == "-" else link).strip()
    request = parse(link)
    if not (yes or no_view or console.json) and _taken_by_dock(console, link):
        return
    allowed = _allowed(console, request, yes=yes)
    settings = console.settings
    with sources.archive(console) as archive:
        with connect_link(request, allowed, settings) as client:
            wanted = _wanted(console, request, client, yes=yes)
        queue = queue_of(console)
        transfer = queue.add("pull", allowed.profile.name, map(str, wanted), claimed=True)
        try:
            run(console, queue, transfer, archive, lambda _: connect_link(request, allowed, settings))
        finally:
            for resource in wanted:
                folders = dict.fromkeys(instance.path.parent for instance in archive.instances(resource))
                console.print(*(f"{resource} is in {folder}" for folder in folders))
    if no_view or console.json:
        return
    if console.attended and importlib.util.find_spec("trame_slicer") is not None:
        view.show(console, Resource(wanted[0].study, wanted[0].series if len(wanted) == 1 else None))
    else:
        console.print("'dicomdock run' shows it.")


def _taken_by_dock(console: Console, link: str) -> bool:
    """Send the link to the running dock, which asks and shows it in its page; False where none runs."""
    from dicomdock.launch.handoff import NotRunning, send

    try:
        ack = send(link, console.settings, command=())
    except NotRunning:
        return False
    console.print(ack.text)
    return True


def _wanted(console: Console, request: LaunchRequest, client: Client, *, yes: bool) -> Sequence[Resource]:
    """Return what the link asks for; where its token opens many studies, only after a yes.

    Raises
    ------
    LaunchError
        The user does not want all of them.
    """
    from dicomdock.dicom import json_model
    from dicomdock.transfer import linked

    if request.resources:
        return request.resources
    found = linked.studies_of_link(request, client)
    if linked.wants_a_choice(request, found) and not yes:
        console.note(f"The link's token opens {counted(len(found), 'study', 'studies')}:")
        for study in found:
            console.note(*describe(json_model.flatten(study), "studies", linked.FIELDS))
        if not console.confirm("Pull all of them?"):
            raise LaunchError("Nothing was pulled. 'dicomdock run' lets you choose; --yes pulls all of them.")
    return linked.resources_of(found)


def _allowed(console: Console, request: LaunchRequest, *, yes: bool) -> Allowed:
    """Ask the user about a site that is not known, before a byte is sent to it.

    Raises
    ------
    LaunchError
        The link may not act, or the user does not want it.
    """
    from dicomdock.config.servers import load_profiles
    from dicomdock.launch import trust

    profiles = load_profiles(console.settings)
    store = trust.TrustStore(console.settings)
    decision = trust.decide(request, profiles, store)
    while isinstance(decision, trust.Ask):
        if not (yes or _agrees(console, decision.question)):
            raise LaunchError(f"The link to {decision.question.origin} was not opened; --yes opens it.")
        decision = trust.decide(request, profiles, store, agreed=decision.question)
    if isinstance(decision, trust.Refused):
        raise LaunchError(decision.reason)
    if isinstance(decision, trust.ChooseServer):
        likely = next(iter(decision.likely), "")
        decision = trust.use_server(request, profiles.get(likely))
        console.note(f"The link names no server; {decision.profile.name} is asked.")
    return decision


def _agrees(console: Console, question: Question) -> bool:
    console.note(
        f"A link wants to open {counted(question.resources, 'study', 'studies')} from a site not known yet:"
    )
    console.note(f"  {question.scheme}  {question.host}  port {question.port}", *question.warnings)
    return console.confirm("Open it?")
