"""The ``dicomdock`` program: its groups of commands, the options they share, and what errors become."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from dicomdock.cli import (
    archive,
    doctor,
    files,
    link,
    register,
    search,
    server,
    service,
    transfer,
    transfers,
    trust,
    view,
)
from dicomdock.cli.exit_codes import CANCELLED, DONE, FAILED
from dicomdock.cli.global_options import global_options
from dicomdock.cli.output import Terminal
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.version import __version__

# A new group of commands is one more module here; its ``commands`` are a group of their own where they have a
# name, else commands of the program itself.
GROUPS = (server, search, transfer, transfers, files, archive, link, register, trust, service, view, doctor)

USAGE_ERROR: Any = typer.BadParameter.__base__  # it has no public name of its own


def run(arguments: list[str]) -> int:
    """Run one command; every error ends here as a sentence and an exit code."""
    terminal = Terminal()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the terminal cannot show is no reason to end
    try:
        return _ended(arguments, terminal)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except DicomdockError as error:
        terminal.fail(error)
        _trace(terminal)
        return error.exit_code
    except OSError as error:
        terminal.fail(error)
        _trace(terminal)
        return FAILED
    except KeyboardInterrupt:
        return CANCELLED
    except Exception as error:  # noqa: BLE001 - the job boundary: nobody above could say it better
        terminal.fail(error, "An error that dicomdock did not expect ended this; -v shows where.")
        _trace(terminal)
        return FAILED


def _ended(arguments: list[str], terminal: Terminal) -> int:
    """Run one command and give its exit code.

    Raises
    ------
    InvalidInput
        The words are no command, and a script is to read why; a person is shown it here.
    """
    root = program()
    if "--json" not in arguments:
        root(arguments, prog_name="dicomdock", obj=terminal)
        return DONE
    for command in _commands(root):
        command.no_args_is_help = False  # help is no document
    try:
        code = root(arguments, prog_name="dicomdock", obj=terminal, standalone_mode=False)
    except USAGE_ERROR as error:
        terminal.json = True  # the words are read in vain, perhaps before this one
        raise InvalidInput(error.format_message()) from error
    return code if isinstance(code, int) else DONE


def program() -> Any:  # what typer makes has no public type
    """Put the groups together, and add the options that every command has."""
    app = typer.Typer(
        name="dicomdock",
        help="Find, pull, keep, view, segment and send back medical images over DICOMweb.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for group in GROUPS:
        app.add_typer(group.commands)
    root = typer.main.get_command(app)
    for command in _commands(root):
        command.params.extend(global_options())
    return root


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _commands(inner)


def _tell_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"dicomdock {__version__}\n")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            callback=_tell_version,
            is_eager=True,
            expose_value=False,
        ),
    ] = False,
) -> None: ...


def _trace(terminal: Terminal) -> None:
    if terminal.verbose:
        import traceback

        traceback.print_exc(file=sys.stderr)
