"""``search``: find studies, series and instances on servers and in the archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from dicomdock.cli import sources
from dicomdock.cli.describe import SHOWN, describe
from dicomdock.cli.exit_codes import PARTLY
from dicomdock.cli.matches import show
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.query import Query, SearchLevel

if TYPE_CHECKING:
    from dicomdock.dicom.resource import Resource
    from dicomdock.federation import Answer, Found
    from dicomdock.sources import JsonValue

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
            help="The level, default studies, and what must match: wildcards * and ?, ranges with -,"
            " lists of UIDs with commas. A name without wildcards is found by its words, as people type it;"
            " in quotation marks of its own it is the whole name.",
            show_default=False,
        ),
    ] = None,
    server: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Search this server; can be given again. Default: the default server."
        ),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Search the local archive.")] = False,
    everywhere: Annotated[bool, typer.Option("--all", help="Search the archive and every server.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Maximum number of matches from each source.")
    ] = None,
    offset: Annotated[int, typer.Option(min=0, help="Number of matches to skip.")] = 0,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="KEYWORD", help="Also show this attribute; can be given again."),
    ] = None,
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="Match person names by sound and parts.")] = False,
    patience: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, help="Seconds after which a server of several is skipped."),
    ] = 10.0,
) -> None:
    """Find studies, series or instances."""
    console: Console = context.obj
    level: SearchLevel = "studies"
    if words and words[0] in LEVELS:
        level = next(known for known in LEVELS if known == words[0])
        words = words[1:]
    # What is shown must be asked for: the standard's own answer leaves out such as StudyDescription.
    fields = ("all",) if "all" in (field or ()) else tuple(dict.fromkeys((*(field or ()), *SHOWN[level])))
    query = Query(level, sources.keys(words or ()), fields, limit, offset, fuzzy, typed=True)
    names = _names(console, server or [], local=local, everywhere=everywhere)
    if len(names) == 1:
        console.result(_ask_one(console, names[0], query))
    else:
        _ask_all(console, names, query, patience)


def _names(console: Console, servers: list[str], *, local: bool, everywhere: bool) -> list[str]:
    from dicomdock.config.servers import load_profiles

    names = [LOCAL] if local or everywhere else []
    if everywhere:
        return [*names, *load_profiles(console.settings).names]
    names.extend(sources.server_name(console, name) for name in servers)
    return list(dict.fromkeys(names)) or [sources.server_name(console)]


def _ask_one(console: Console, name: str, query: Query) -> dict[str, JsonValue]:
    with sources.archive(console) if name == LOCAL else sources.connect(name, console.settings) as source:
        return show(console, source, query)


def _ask_all(console: Console, names: list[str], query: Query, patience: float) -> None:
    """Search several sources side by side; failures and slow sources are named, the other answers stay."""
    from dicomdock import federation

    answers = {name: SourceAnswer(name) for name in names}
    found: dict[Resource, federation.Found] = {}
    with sources.Opened(console) as opened:
        places = {name: opened.later(name) for name in names}
        for answer in federation.search(places, query, patience=patience):
            answers[answer.source].add(answer)
            for one in answer.found:
                _say(console, one, query, known=one.resource in found)
                found[one.resource] = one
            console.flush()
    for of_source in answers.values():
        console.note(*of_source.notes(query))
    if not found:
        failed = [one.source for one in answers.values() if one.error]
        beside = f" Whether {' or '.join(failed)} has something is not known." if failed else ""
        console.print(f"Nothing was found.{beside}")
    matches: list[JsonValue] = [_plain(one) for one in found.values()] if console.json else []
    results: list[JsonValue] = [one.to_json(query) for one in answers.values()] if console.json else []
    console.result({"level": query.level, "matches": matches, "results": results})
    if any(one.error for one in answers.values()):
        raise typer.Exit(PARTLY)


def _plain(found: Found) -> dict[str, JsonValue]:
    from dicomdock.dicom import json_model

    return {**json_model.flatten(found.attributes), "sources": [*found.sources]}


def _say(console: Console, found: Found, query: Query, *, known: bool) -> None:
    if console.json:
        return
    if known:
        console.print(f"  {found.sources[-1]} has {found.resource} too.")
        return
    first, *further = describe(_plain(found), query.level, query.fields)
    console.print(f"{first}  [{found.sources[-1]}]", *further)


@dataclass
class SourceAnswer:
    """The answer of one of several sources."""

    source: str
    matches: list[JsonValue] = field(default_factory=list)
    more: bool | None = None
    warnings: list[str] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    def add(self, answer: Answer) -> None:
        """Note one answer."""
        from dicomdock.dicom import json_model

        self.matches += [json_model.flatten(match.attributes) for match in answer.page.matches]
        self.warnings += [words for words in answer.page.warnings if words not in self.warnings]
        self.more, self.error, self.seconds = answer.page.more, answer.error, answer.seconds

    def notes(self, query: Query) -> list[str]:
        """Return what the user must know of it."""
        notes = [*self.warnings]
        if self.more and not self.error:
            count = query.offset + len(self.matches)
            notes.append(f"{self.source} has more than these; --offset {count} shows the next.")
        return [*notes, f"{self.source}: {self.error}"] if self.error else notes

    def to_json(self, query: Query) -> dict[str, JsonValue]:
        """Return the document that a search of this source alone would give."""
        document: dict[str, JsonValue] = {
            "server": self.source,
            "level": query.level,
            "matches": self.matches,
            "more": self.more,
            "warnings": [*self.warnings],
            "seconds": round(self.seconds, 3),
        }
        return {**document, "error": self.error} if self.error else document
