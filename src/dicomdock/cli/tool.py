"""``tool``: programs and services that segment, declared, run on series, and their drafts accepted."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources, tool_monai_label, tool_nninteractive, tool_output
from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.errors import Cancelled, DicomdockError, InvalidInput

if TYPE_CHECKING:
    from dicomdock.api.archive import Archive
    from dicomdock.api.segmentation import Segmentation
    from dicomdock.api.tools import Job
    from dicomdock.config.tools import Tool
    from dicomdock.dicom.resource import Resource
    from dicomdock.sources import JsonValue

commands = typer.Typer()
tool = typer.Typer(help="Run programs and services that segment a series.", no_args_is_help=True)
commands.add_typer(tool, name="tool")
tool.command(
    "next", epilog=examples("dicomdock tool next spleen", "dicomdock tool next spleen --strategy first")
)(tool_monai_label.next_sample)
tool.command(
    epilog=examples(
        "dicomdock tool nninteractive https://gpu.example.org:1527 --token-stdin",
        "dicomdock tool nninteractive",
    )
)(tool_nninteractive.nninteractive)
tool.command(epilog=examples("dicomdock tool submit spleen 1.2.840.1/1.2.840.7"))(tool_monai_label.submit)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The tool.", show_default=False)]


@tool.command("list", epilog=examples("dicomdock tool list", "dicomdock tool list --json"))
def list_tools(context: typer.Context) -> None:
    """List the declared tools."""
    console: Console = context.obj
    from dicomdock.config.tools import ToolFolder

    folder = ToolFolder(console.settings)
    documents: list[JsonValue] = []
    for name in folder.names():
        try:
            declared = folder.get(name)
        except DicomdockError as error:
            console.note(str(error))
            documents.append({"name": name, "error": str(error)})
            continue
        documents.append(tool_output.document(declared))
        console.print(f"{name}  {tool_output.way(declared)}  {declared.description}".rstrip())
    console.result({"tools": documents})
    if not documents:
        console.print("None yet; 'dicomdock tool add FILE' declares one.")


@tool.command(
    epilog=examples(
        "dicomdock tool add totalsegmentator.toml",
        "dicomdock tool add remote.toml --token-stdin --allow",
        "dicomdock tool add spleen --monai-label https://gpu.example.org:8000 --model segmentation_spleen",
    )
)
def add(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME",
            help="Its declaration, in TOML; with --monai-label its name.",
            show_default=False,
        ),
    ],
    monai_label: Annotated[
        str,
        typer.Option(metavar="URL", help="Declare a model of this MONAI Label server.", show_default=False),
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="The model; without it the models are listed.", show_default=False
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Accept the model's labels without asking.")] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="Allow it to send pixels to its address, without asking.")
    ] = False,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read its token from standard input.")
    ] = False,
) -> None:
    """Declare a tool; one of the same name is replaced."""
    console: Console = context.obj
    from dicomdock.config.tools import MAX_FILE, ToolFolder, declaration, parse_tool

    secret = console.secret("Token", from_stdin=True) if token_stdin else ""
    if monai_label:
        text = declaration(tool_monai_label.declared_by(console, file, monai_label, model, secret, sure=yes))
        declared = parse_tool(text, file)
    elif model or yes:
        raise InvalidInput("--model and --yes belong to --monai-label.")
    else:
        with Path(file).open("rb") as stream:
            text = stream.read(MAX_FILE + 1)
        declared = parse_tool(text, file)
    if secret:
        _store_token(console, declared, secret)
    ToolFolder(console.settings).add(text, file)
    allowed = _allowed(console, declared, sure=allow)
    console.result({"tool": tool_output.document(declared), "allowed": allowed})
    tool_output.show(console, declared)
    if not allowed and declared.origin is not None:
        console.note(f"Before it runs, allow it: dicomdock tool allow {declared.origin.short}")


@tool.command(epilog=examples("dicomdock tool show totalsegmentator"))
def show(context: typer.Context, name: Name) -> None:
    """Show a tool, and the codes of its labels."""
    console: Console = context.obj
    from dicomdock.config.tools import ToolFolder

    declared = ToolFolder(console.settings).get(name)
    console.result(tool_output.document(declared))
    tool_output.show(console, declared)


@tool.command(epilog=examples("dicomdock tool remove totalsegmentator"))
def remove(context: typer.Context, name: Name) -> None:
    """Remove a tool and its token; the program itself stays."""
    console: Console = context.obj
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.tools import ToolFolder
    from dicomdock.tools.service import account

    folder = ToolFolder(console.settings)
    try:
        origin = folder.get(name).origin
    except DicomdockError:
        origin = None
    folder.remove(name)
    if origin is not None:
        Secrets(console.settings).delete(account(name), str(origin))
    console.result({"removed": name})
    console.print(f"{name} is removed.")


@tool.command(epilog=examples("dicomdock tool token remote --token-stdin < token.txt"))
def token(
    context: typer.Context,
    name: Name,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read it from standard input.")] = False,
) -> None:
    """Store the token of a tool that is a service, as those of servers are stored."""
    console: Console = context.obj
    from dicomdock.config.tools import ToolFolder

    declared = ToolFolder(console.settings).get(name)
    if declared.origin is None:
        raise InvalidInput(f"The tool {name!r} is a program of this machine and needs no token.")
    _store_token(console, declared, console.secret("Token", from_stdin=token_stdin))
    console.result({"tool": name})
    console.print(f"The token of {name} is stored.")


@tool.command(epilog=examples("dicomdock tool allow https://gpu.example.org", "dicomdock tool allow"))
def allow(
    context: typer.Context,
    origin: Annotated[
        str,
        typer.Argument(
            metavar="ORIGIN", help="https://HOST or https://HOST:PORT; none lists them.", show_default=False
        ),
    ] = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="Withdraw the permission of this one.")] = False,
) -> None:
    """Allow tools to send pixels to a server, or list the allowed ones."""
    console: Console = context.obj
    from dicomdock.config.trust import TrustStore

    store = TrustStore.for_pixels(console.settings)
    if origin and revoke:
        store.revoke(origin)
    elif origin:
        added = store.add(origin)
        if added.startswith("http://"):
            console.note("The connection is not encrypted: who is on the way can see the images.")
    elif revoke:
        raise InvalidInput("Name the server that is to be asked about again.")
    allowed = store.origins()
    console.result({"allowed": [{"origin": one.origin, "source": one.source} for one in allowed]})
    console.print(*(one.origin for one in allowed))
    if not allowed:
        console.print("Pixels may be sent to no other machine.")


@tool.command(
    epilog=examples(
        "dicomdock tool run totalsegmentator 1.2.840.1/1.2.840.3",
        "dicomdock tool run totalsegmentator PatientID=4711 Modality=CT",
    )
)
def run(
    context: typer.Context,
    name: Name,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RESOURCE", help="STUDY/SERIES of the archive, or KEY=VALUE.", show_default=False
        ),
    ],
    volume: Annotated[
        str,
        typer.Option(metavar="NAME", help="The volume, where a series holds several.", show_default=False),
    ] = "",
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=X,Y,Z", help="In a label, or background; mm, LPS. Repeat it.", show_default=False
        ),
    ] = None,
) -> None:
    """Run a tool on series of the archive; its segmentation is stored in their study as a draft."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.api.tool_points import LabelledPoint
    from dicomdock.api.tools import Job
    from dicomdock.config.tools import ToolFolder

    declared = ToolFolder(console.settings).get(name)
    _allowed(console, declared, sure=False)
    points = [LabelledPoint.parse(one) for one in point or ()]
    job = Job(declared, console.settings, volume or None, points=points, operator=console.settings.person)
    done: list[JsonValue] = []
    failures: list[JsonValue] = []
    last: DicomdockError | None = None
    with Archive.open(console.settings) as archive:
        wanted = sources.resources(words, archive)
        if odd := [one for one in wanted if one.level != "series"]:
            raise InvalidInput(f"{odd[0]} is a {odd[0].level}; name series: STUDY/SERIES.")
        for series in wanted:
            try:
                made = _followed(console, archive, job, series)
            except Cancelled:
                raise
            except DicomdockError as error:
                last = error
                failures.append({"resource": str(series), "reason": str(error)})
                if len(wanted) > 1:
                    console.note(f"{series}: {error}")
                continue
            done.append(_made(console, made, archive))
    if last is not None and len(wanted) == 1:
        raise last
    console.result({"tool": name, "segmentations": done, "failures": failures})
    if failures:
        raise typer.Exit(PARTLY if done else FAILED)


@tool.command(epilog=examples("dicomdock tool accept 1.2.840.1/1.2.840.7 --by 'Doe^Jane'"))
def accept(
    context: typer.Context,
    resource: Annotated[
        str,
        typer.Argument(metavar="RESOURCE", help="A draft: STUDY/SERIES or an instance.", show_default=False),
    ],
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="PERSON",
            help="Who accepts it; default: the setting 'person'.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Store a new version of a tool's draft that states who has accepted it."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    by = by or console.settings.person_name
    with Archive.open(console.settings) as archive:
        stored = archive.accept_draft(resource, by)
    console.result({"resource": str(stored), "accepted_by": by})
    console.print(f"Accepted by {by}: {stored}")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: else the program would go on alone."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _followed(console: Console, archive: Archive, job: Job, series: Resource) -> Segmentation:
    """Run a tool to its end, and repeat what it says."""
    from dicomdock.api.tools import run_on_series

    said = ""
    try:
        with _ended_by_signals(), closing(run_on_series(archive, job, series)) as work:
            while True:
                try:
                    step = next(work)
                except StopIteration as end:
                    made: Segmentation = end.value
                    return made
                if step.line != said:
                    said = step.line
                    console.note(f"[{step.seconds:.0f} s] {said}")
    except KeyboardInterrupt:
        raise Cancelled(f"The run of {job.tool.name} was cancelled; nothing was stored.") from None


def _made(console: Console, made: Segmentation, archive: Archive) -> JsonValue:
    place = made.save(archive)
    console.print(f"{counted(len(made.segments), 'segment')} of {made.images} stored as a draft:")
    console.print(*(f"  {one.label}: {one.mask.count:,} voxels" for one in made.segments))
    console.print(f"  {place}")
    console.note(*made.remarks)
    return {
        "resource": str(place),
        "images": str(made.images),
        "draft": True,
        "segments": [{"label": one.label, "voxels": one.mask.count} for one in made.segments],
        "remarks": [*made.remarks],
    }


def _allowed(console: Console, declared: Tool, *, sure: bool) -> bool:
    """Return whether pixels may be sent to a tool's address; ask where nobody has said so yet."""
    from dicomdock.config.trust import TrustStore

    origin = declared.origin
    if origin is None or origin.is_loopback:
        return True
    store = TrustStore.for_pixels(console.settings)
    if store.trusts(str(origin)):
        return True
    clear = "" if origin.is_encrypted else ", unencrypted"
    if sure or console.confirm(
        f"{declared.name} sends {declared.sends} to {origin.short}{clear}. Allow that?"
    ):
        store.add(str(origin))
        return True
    return False


def _store_token(console: Console, declared: Tool, secret: str) -> None:
    from dicomdock.config.secrets import Secrets
    from dicomdock.tools.service import account

    origin = declared.origin
    if origin is None:
        raise InvalidInput(f"The tool {declared.name!r} is a program of this machine and needs no token.")
    if not (origin.is_encrypted or origin.is_loopback):
        raise InvalidInput(f"A token is not sent unencrypted to {origin.short}; use an address with https.")
    Secrets(console.settings).set(account(declared.name), str(origin), secret)
