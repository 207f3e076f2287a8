"""De-identification as a command asks for it: its options, and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.deidentify import Deidentifier, Report

PANEL = "De-identification"

ProfileOption = Annotated[
    str,
    typer.Option(
        "--deidentify",
        metavar="PROFILE",
        help="Send only de-identified copies: 'basic', the Basic Profile of PS3.15, or with options"
        " behind commas, such as 'basic,retain-modified-dates,clean-descriptors'.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="The key of the pseudonyms, 64 hexadecimal digits; default: the one in your keyring.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Blank = Annotated[
    list[str] | None,
    typer.Option(
        "--blank",
        metavar="LEFT,TOP,WIDTH,HEIGHT",
        help="Blank this rectangle, in pixels, in images that may show text, instead of holding them back;"
        " can be given several times.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]


def deidentifier_of(
    settings: Settings, profile: str, key_file: Path | None, blank: list[str] | None
) -> Deidentifier | None:
    """Return what the options ask for; None where they ask for no de-identification.

    Raises
    ------
    InvalidInput
        The profile, the key file or a rectangle cannot be read.
    """
    if not profile:
        if key_file is not None or blank:
            raise InvalidInput("--key-file and --blank belong to --deidentify PROFILE.")
        return None
    from dicomdock.deidentify.pixels import Rectangle
    from dicomdock.transfer.deidentified import make_deidentifier

    return make_deidentifier(settings, profile, key_file, [Rectangle.parse(word) for word in blank or ()])


def show(console: Console, report: Report) -> None:
    """Show what was held back; end with the exit code that says so."""
    for resource, reason in report.held_back:
        console.note(f"{resource} was held back: {reason}.")
    if report.held_back:
        console.note(
            f"{counted(len(report.held_back), 'instance')} held back; look at them, and give --blank the"
            " rectangles that hide what must not leave."
        )
        raise typer.Exit(PARTLY if report.instances else FAILED)
