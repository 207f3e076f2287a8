"""The archive: ``import``, ``export``, ``list``, ``remove``, ``verify``, ``pin``, ``unpin``, ``evict``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.describe import UIDS
from dicomdock.cli.matches import show
from dicomdock.cli.terminal import Terminal, examples
from dicomdock.errors import InvalidInput
from dicomdock.query import Query, SearchLevel, text
from dicomdock.resource import Resource

if TYPE_CHECKING:
    from dicomdock.archive import Archive, ArchivedInstance
    from dicomdock.source import DicomJson, JsonValue

commands = typer.Typer()

Resources = Annotated[
    list[str],
    typer.Argument(
        metavar="RESOURCE|KEY=VALUE",
        help="STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE; or KEY=VALUE for what matches.",
    ),
]


@commands.command(
    "list",
    epilog=examples("dicomdock list", "dicomdock list PatientID=4711", "dicomdock list 1.2.840.1"),
)
def listed(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY[/SERIES]] [KEY=VALUE]",
            help="The study whose series, or the series whose instances to list; or what studies must match.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what is in the archive, and, below a study, where it came from and has been sent."""
    terminal: Terminal = context.obj
    named = [Resource.parse(word) for word in words or () if "=" not in word]
    if len(named) > 1:
        raise InvalidInput("One study or series is listed at a time.")
    match = sources.keys(word for word in words or () if "=" in word)
    with sources.archive(terminal) as archive:
        if not named:
            terminal.result(show(terminal, archive, Query("studies", match)))
        else:
            terminal.result(_below(terminal, archive, named[0], match))


def _below(
    terminal: Terminal, archive: Archive, resource: Resource, match: dict[str, str]
) -> dict[str, JsonValue]:
    """List what is below a study or series, with where it came from and has been sent."""
    level: SearchLevel = "series" if resource.level == "study" else "instances"
    uids = zip(
        ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), str(resource).split("/"), strict=False
    )

    def facts(attributes: DicomJson) -> dict[str, JsonValue]:
        place = "/".join(text(attributes, uid) for uid in UIDS[level])
        return _facts(archive.instances(Resource.parse(place)))

    return show(terminal, archive, Query(level, {**match, **dict(uids)}), facts)


def _facts(instances: Iterable[ArchivedInstance]) -> dict[str, JsonValue]:
    """Say where instances are: from which servers they came, which have them all, what keeps them."""
    instances = list(instances)
    everywhere = set.intersection(*(set(one.sent) for one in instances)) if instances else set()
    return {
        "bytes": sum(one.size for one in instances),
        "from": [*sorted({one.origin for one in instances if one.origin})],
        "sent": [*sorted(everywhere)],
        "made_here": any(one.made_here for one in instances),
        "pinned": bool(instances) and all(one.pinned for one in instances),
    }
