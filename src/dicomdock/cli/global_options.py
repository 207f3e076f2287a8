"""The options that every command has, before and after its name."""

from __future__ import annotations

import logging
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomdock.cli.output import Console

PANEL = "Every command"


@cache
def global_options() -> tuple[Any, ...]:
    """Return the options, in the form that typer keeps options in; all commands share them."""
    holder = typer.Typer(add_completion=False)
    holder.command(add_help_option=False)(_options)
    return tuple(typer.main.get_command(holder).params)


def _set_json(context: typer.Context, value: bool) -> None:
    _console(context).json |= value


def _set_home(context: typer.Context, value: Path | None) -> None:
    console = _console(context)
    console.home = value or console.home


def _set_verbose(context: typer.Context, value: bool) -> None:
    if value and not _console(context).verbose:
        _console(context).verbose = True
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
        logging.getLogger("dicomdock").setLevel(logging.DEBUG)


def _console(context: typer.Context) -> Console:
    found: Console = context.obj
    return found


def _options(
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON document on standard output.",
            callback=_set_json,
            expose_value=False,
            rich_help_panel=PANEL,
        ),
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            metavar="DIR",
            help="Folder of configuration, archive and state; default: DICOMDOCK_HOME.",
            callback=_set_home,
            expose_value=False,
            rich_help_panel=PANEL,
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Log to standard error what is done, and the cause of an error.",
            callback=_set_verbose,
            expose_value=False,
            rich_help_panel=PANEL,
        ),
    ] = False,
) -> None: ...
