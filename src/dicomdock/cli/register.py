"""``register`` and ``unregister``: tie links in web pages to this program, and what doctor says of that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli.findings import Finding
from dicomdock.cli.output import Console, examples

if TYPE_CHECKING:
    from dicomdock.launch.register import SchemeStatus

commands = typer.Typer()

_WORDS = {"ours": "dicomdock", "free": "nobody", "broken": "dicomdock, but that is broken"}
Scheme = Annotated[
    list[str] | None,
    typer.Option(
        "--scheme",
        metavar="SCHEME",
        help="Links of this scheme (dicomdock, slicer or weasis), even if another program has them; "
        "can be given again.",
        show_default=False,
    ),
]


@commands.command(epilog=examples("dicomdock register", "dicomdock register --scheme slicer"))
def register(context: typer.Context, scheme: Scheme = None) -> None:
    """Open links in web pages with dicomdock: dicomdock://, and slicer:// unless another program opens it."""
    from dicomdock.launch import register as registration

    console: Console = context.obj
    _tell(console, registration.register(registration.registrar(console.settings), scheme or ()))


@commands.command(epilog=examples("dicomdock unregister", "dicomdock unregister --scheme slicer"))
def unregister(context: typer.Context, scheme: Scheme = None) -> None:
    """Restore the programs that opened links before."""
    from dicomdock.launch import register as registration

    console: Console = context.obj
    _tell(console, registration.unregister(registration.registrar(console.settings), scheme or ()))


def links(console: Console) -> Iterator[Finding]:
    """Check for ``doctor`` who opens links, and what to do about what is broken."""
    from dicomdock.launch import register as registration

    for entry in registration.status(registration.registrar(console.settings)):
        check = f"{entry.scheme}:// links"
        if entry.state == "ours" and not entry.remedy:
            yield Finding(check, "ok", "open with dicomdock")
        elif entry.state == "broken":
            yield Finding(check, "failed", "would open nothing", entry.remedy)
        elif entry.state == "ours":
            yield Finding(check, "ok", f"open with {entry.handler}", entry.remedy)
        elif entry.state == "other":
            yield Finding(check, "missing", f"open with {entry.handler}", entry.remedy)
        elif entry.scheme != "weasis":  # which only its users want
            yield Finding(check, "missing", "open with nothing", entry.remedy or "dicomdock register")


def _tell(console: Console, schemes: Sequence[SchemeStatus]) -> None:
    console.result(
        {
            "schemes": [
                {
                    "scheme": entry.scheme,
                    "state": entry.state,
                    "handler": entry.handler,
                    "remedy": entry.remedy,
                }
                for entry in schemes
            ]
        }
    )
    for entry in schemes:
        console.print(f"{entry.scheme}:// links open with {_WORDS.get(entry.state, entry.handler)}.")
        if entry.remedy:
            console.note(entry.remedy)
