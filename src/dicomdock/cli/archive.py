"""The archive: ``list``, ``remove``, ``verify``, ``pin``, ``unpin`` and ``evict``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.exit_codes import FAILED
from dicomdock.cli.formatting import bytes_of, counted, size
from dicomdock.cli.matches import show
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import UID_KEYWORDS, is_uid
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.archive import Archive, ArchivedInstance
    from dicomdock.sources import DicomJson, JsonValue

commands = typer.Typer()
STATUSES = ("intact", "missing", "changed", "adopted", "stray")

Resources = Annotated[
    list[str],
    typer.Argument(
        metavar="RESOURCE|KEY=VALUE",
        help="STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE; or KEY=VALUE to select what matches.",
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
            help="STUDY to list its series, STUDY/SERIES to list its instances, KEY=VALUE to filter.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List what is in the archive; for a study, also where it came from and where it was sent."""
    console: Console = context.obj
    named = [Resource.parse(word) for word in words or () if "=" not in word]
    if len(named) > 1:
        raise InvalidInput("One study or series is listed at a time.")
    match = sources.keys(word for word in words or () if "=" in word)
    with sources.archive(console) as archive:
        if not named:
            console.result(show(console, archive, Query("studies", match, typed=True)))
        else:
            from dicomdock.transfer import missing_sources

            document = _below(console, archive, named[0], match)
            missing = missing_sources(archive, named[0])
            console.result({**document, "missing_sources": [one.to_json() for one in missing]})
            console.note(*(one.sentence for one in missing))
            if not document["matches"] and not is_uid(named[0].study):
                console.note(f"{named[0].study!r} was read as a UID; names are found by PatientName='Doe*'.")


def _below(
    console: Console, archive: Archive, resource: Resource, match: dict[str, str]
) -> dict[str, JsonValue]:
    """List what is below a study or series, with where it came from and has been sent."""
    level: SearchLevel = "series" if resource.level == "study" else "instances"
    uids = zip(UID_KEYWORDS["instances"], str(resource).split("/"), strict=False)

    held: dict[str, list[ArchivedInstance]] = {}
    for one in archive.instances(resource):
        place = "/".join(str(one.resource).split("/")[: len(UID_KEYWORDS[level])])
        held.setdefault(place, []).append(one)

    def facts(attributes: DicomJson) -> dict[str, JsonValue]:
        return _facts(held.get("/".join(text(attributes, uid) for uid in UID_KEYWORDS[level]), ()))

    return show(console, archive, Query(level, {**match, **dict(uids)}), facts)


def _facts(instances: Iterable[ArchivedInstance]) -> dict[str, JsonValue]:
    """Show where instances are: from which servers they came, which have them all, what protects them."""
    instances = list(instances)
    everywhere = set.intersection(*(set(one.sent) for one in instances)) if instances else set()
    return {
        "bytes": sum(one.size for one in instances),
        "from": [*sorted({one.origin for one in instances if one.origin})],
        "sent": [*sorted(everywhere)],
        "made_here": any(one.made_here for one in instances),
        "pinned": bool(instances) and all(one.pinned for one in instances),
        "remarks": [*dict.fromkeys(remark for one in instances for remark in one.remarks)],
    }


@commands.command(
    epilog=examples(
        "dicomdock remove 1.2.840.1",
        "dicomdock remove PatientID=4711",
        "dicomdock remove 1.2.840.1/1.2.840.2 --server hospital --yes",
    )
)
def remove(
    context: typer.Context,
    resources: Resources,
    force: Annotated[
        bool, typer.Option("--force", help="Also remove what was created here and never sent to a server.")
    ] = False,
    server: Annotated[
        str,
        typer.Option(metavar="NAME", help="Delete on this server instead; the copies in the archive stay."),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove studies, series or instances from the archive; copies on servers stay."""
    console: Console = context.obj
    if server:
        _remove_there(console, server, resources, sure=yes)
        return
    with sources.archive(console) as archive:
        wanted = sources.resources(resources, archive)
        for resource in () if force else wanted:
            if any(one.made_here and not one.sent for one in archive.instances(resource)):
                raise InvalidInput(
                    f"{resource} was made here and has been sent nowhere; --force removes it for good."
                )
        studies = len({resource.study for resource in wanted})
        if studies > 1 and console.attended and not yes:
            console.note(*(f"{resource.level} {resource}" for resource in wanted))
            if not console.confirm(f"Remove {counted(studies, 'study', 'studies')} from this computer?"):
                raise InvalidInput("Nothing was removed; --yes removes without asking.")
        removed = sum(archive.remove(resource) for resource in wanted)
    console.result({"removed": removed})
    console.print(f"{counted(removed, 'instance')} removed.")


def _remove_there(console: Console, name: str, words: list[str], *, sure: bool) -> None:
    """Delete on a server, for good, when somebody says that this is meant."""
    name = sources.server_name(console, name)
    with sources.connect(name, console.settings) as client:
        wanted = sources.resources(words, client)
        console.note(*(f"{resource.level} {resource} on {name}" for resource in wanted))
        if not sure and not console.confirm(f"Delete this on {name}, for good?"):
            raise InvalidInput(f"Nothing was deleted on {name}; --yes deletes without asking.")
        for resource in wanted:
            client.delete(resource)
    console.result({"server": name, "removed": [*map(str, wanted)]})
    console.print(*(f"{resource} is deleted on {name}." for resource in wanted))


@commands.command(epilog=examples("dicomdock verify", "dicomdock verify 1.2.840.1"))
def verify(
    context: typer.Context,
    resources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RESOURCE|KEY=VALUE]", help="Check only these; default: everything.", show_default=False
        ),
    ] = None,
) -> None:
    """Check that every file is still, byte for byte, what was stored."""
    console: Console = context.obj
    counts: Counter[str] = Counter()
    findings: list[JsonValue] = []
    odd: list[JsonValue] = []
    with sources.archive(console) as archive:
        wanted = sources.resources(resources, archive) if resources else (None,)
        for finding in chain.from_iterable(map(archive.verify, wanted)):
            counts[finding.status] += 1
            if finding.remarks:
                odd.append({"resource": str(finding.resource), "remarks": list(finding.remarks)})
                console.note(f"{finding.resource} was stored as it came. {' '.join(finding.remarks)}")
            if finding.status != "intact":
                place = str(finding.resource or "")
                findings.append(
                    {
                        "status": finding.status,
                        "resource": place,
                        "path": str(finding.path),
                        "reason": finding.reason,
                    }
                )
                console.note(f"{finding.path}: {finding.status}; {finding.reason} {place}".rstrip())
    damaged = counts["missing"] + counts["changed"]
    console.result(
        {
            **{name: counts[name] for name in STATUSES},
            "findings": findings,
            **({"remarks": odd} if odd else {}),
        }
    )
    console.print(f"{counted(counts['intact'], 'instance')} intact, {damaged} damaged.")
    if damaged:
        console.note("'dicomdock pull' of their study brings damaged instances again from their server.")
        raise typer.Exit(FAILED)


@commands.command(epilog=examples("dicomdock pin 1.2.840.1"))
def pin(context: typer.Context, resources: Resources) -> None:
    """Protect studies, series or instances from eviction."""
    _pin(context.obj, resources, pinned=True)


@commands.command(epilog=examples("dicomdock unpin 1.2.840.1"))
def unpin(context: typer.Context, resources: Resources) -> None:
    """Allow eviction again."""
    _pin(context.obj, resources, pinned=False)


def _pin(console: Console, words: list[str], *, pinned: bool) -> None:
    with sources.archive(console) as archive:
        wanted = sources.resources(words, archive)
        for resource in wanted:
            (archive.retention.pin if pinned else archive.retention.unpin)(resource)
    console.result({"pinned" if pinned else "unpinned": [*map(str, wanted)]})
    console.print(*(f"{resource} {'stays' if pinned else 'may go'}." for resource in wanted))


@commands.command(epilog=examples("dicomdock evict", "dicomdock evict --limit 20GB"))
def evict(
    context: typer.Context,
    limit: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Target size of the archive, such as 20GB; default: the setting archive_limit.",
        ),
    ] = "",
) -> None:
    """Free disk space: remove what was used least recently and is also on a server, except what is pinned."""
    console: Console = context.obj
    with sources.archive(console) as archive:
        eviction = archive.retention.evict(bytes_of(limit) if limit else None)
    console.result({"removed": [*map(str, eviction.removed)], "freed": eviction.freed, "left": eviction.left})
    console.print(*(f"{resource} removed" for resource in eviction.removed))
    console.print(f"{size(eviction.freed)} freed, {size(eviction.left)} left.")
