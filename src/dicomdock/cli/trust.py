"""``trust``: which servers' links may open studies without a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli.output import Console, examples

if TYPE_CHECKING:
    from dicomdock.launch.trust import TrustStore

commands = typer.Typer(
    name="trust",
    help="Manage the servers whose links open studies without asking.",
    invoke_without_command=True,
)
Origin = Annotated[
    str, typer.Argument(metavar="ORIGIN", help="https://HOST or https://HOST:PORT.", show_default=False)
]


@commands.callback()
def _trust(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_(context)


@commands.command("list", epilog=examples("dicomdock trust list", "dicomdock trust list --json"))
def list_(context: typer.Context) -> None:
    """List the servers whose links open without asking."""
    console: Console = context.obj
    origins = _store(console).origins()
    console.result({"origins": [{"origin": entry.origin, "source": entry.source} for entry in origins]})
    for entry in origins:
        console.print(f"{entry.origin}  {'for everybody here' if entry.source == 'system' else ''}".rstrip())
    if not origins:
        console.print("None yet. The servers that you added yourself need no entry here.")


@commands.command(
    epilog=examples(
        "dicomdock trust add https://pacs.example.org", "dicomdock trust add http://orthanc.lan:8042"
    )
)
def add(context: typer.Context, origin: Origin) -> None:
    """Open links to a server without asking; with http:// also without encryption."""
    console: Console = context.obj
    added = _store(console).add(origin)
    console.result({"origin": added, "trusted": True})
    console.print(f"Links to {added} open without a question.")
    if added.startswith("http://"):
        console.note("The connection is not encrypted: who is on the way can read studies and tokens.")


@commands.command(epilog=examples("dicomdock trust revoke https://pacs.example.org"))
def revoke(context: typer.Context, origin: Origin) -> None:
    """Ask again before links to a server open."""
    console: Console = context.obj
    known = _store(console).revoke(origin)
    console.result({"origin": origin, "trusted": False, "known": known})
    console.print(
        f"You are asked about links to {origin} again." if known else f"{origin} was not on the list."
    )


def _store(console: Console) -> TrustStore:
    from dicomdock.launch.trust import TrustStore

    return TrustStore(console.settings)
