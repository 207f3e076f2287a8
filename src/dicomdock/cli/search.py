"""``search``: find studies, series and instances on servers and in the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from dicomdock.cli import sources
from dicomdock.cli.describe import SHOWN
from dicomdock.cli.exits import PARTLY
from dicomdock.cli.matches import show
from dicomdock.cli.terminal import Terminal, examples
from dicomdock.errors import DicomdockError
from dicomdock.query import Query, SearchLevel

if TYPE_CHECKING:
    from dicomdock.source import JsonValue

commands = typer.Typer()
LEVELS = get_args(SearchLevel)
LOCAL = "local"  # the archive's name


@commands.command(
    epilog=examples(
        "dicomdock search PatientName='Doe*' StudyDate=20240101-20241231",
        "dicomdock search series StudyInstanceUID=1.2.3 --field BodyPartExamined",
        "dicomdock search ModalitiesInStudy=MR --local --json",
    )
)
def search(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[studies|series|instances] [KEY=VALUE]...",
            help="What to find, else studies, and what it must match: wildcards * and ?, ranges with -,"
            " lists of UIDs with commas.",
            show_default=False,
        ),
    ] = None,
    server: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Ask this server; can be given again. Else the default server is asked."
        ),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Ask the local archive.")] = False,
    everywhere: Annotated[bool, typer.Option("--all", help="Ask the archive and every server.")] = False,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many matches of each source.")] = None,
    offset: Annotated[int, typer.Option(min=0, help="Pass over so many matches first.")] = 0,
    field: Annotated[
        list[str] | None, typer.Option(metavar="KEYWORD", help="Give this attribute too; can be given again.")
    ] = None,
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="Match person names by sound and parts.")] = False,
) -> None:
    """Find studies, series or instances."""
    terminal: Terminal = context.obj
    level: SearchLevel = "studies"
    if words and words[0] in LEVELS:
        level = next(known for known in LEVELS if known == words[0])
        words = words[1:]
    # What is shown must be asked for: the standard's own answer leaves out such as StudyDescription.
    fields = ("all",) if "all" in (field or ()) else tuple(dict.fromkeys((*(field or ()), *SHOWN[level])))
    query = Query(level, sources.keys(words or ()), fields, limit, offset, fuzzy)
    names = _names(terminal, server or [], local=local, everywhere=everywhere)
    documents = [_ask(terminal, name, query, alone=len(names) == 1) for name in names]
    terminal.result(documents[0] if len(documents) == 1 else {"level": level, "results": [*documents]})
    if any("error" in document for document in documents):
        raise typer.Exit(PARTLY)


def _names(terminal: Terminal, servers: list[str], *, local: bool, everywhere: bool) -> list[str]:
    from dicomdock.profile import load_profiles

    names = [LOCAL] if local or everywhere else []
    if everywhere:
        return [*names, *load_profiles(terminal.settings).names]
    names.extend(sources.server_name(terminal, name) for name in servers)
    return list(dict.fromkeys(names)) or [sources.server_name(terminal)]


def _ask(terminal: Terminal, name: str, query: Query, *, alone: bool) -> dict[str, JsonValue]:
    """Search one source; where others are asked too, its error is told and the others go on."""
    if not alone:
        terminal.say(f"{name}:")
    try:
        with (
            sources.archive(terminal) if name == LOCAL else sources.connect(name, terminal.settings) as source
        ):
            return show(terminal, source, query)
    except DicomdockError as error:
        if alone:
            raise
        terminal.note(f"{name}: {error}")
        return {
            "server": name,
            "level": query.level,
            "matches": [],
            "more": None,
            "warnings": [],
            "error": str(error),
        }
