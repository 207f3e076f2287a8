"""The ``dicomdock`` program: its groups of commands, the options they share, and what errors become."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from dicomdock.cli.exit_codes import CANCELLED, DONE, FAILED
from dicomdock.cli.global_options import global_options
from dicomdock.cli.output import Console
from dicomdock.errors import DicomdockError, IndexDamaged, InvalidInput
from dicomdock.version import __version__

# The modules of ``dicomdock.cli`` with the names that they add to the program, in the order of the help. Each
# has ``commands``: a group of its own where that has a name, else commands of the program itself. Only the
# module of the command that runs is imported.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "server": ("server",),
    "search": ("search",),
    "transfer": ("pull", "push"),
    "transfers": ("transfers",),
    "files": ("import", "export"),
    "statistics": ("statistics",),
    "dose": ("dose",),
    "multivolume": ("multivolume",),
    "key_images": ("key-images",),
    "presentation": ("presentation",),
    "registration": ("registration",),
    "targets": ("targets",),
    "waveform": ("waveform",),
    "cohort": ("cohort",),
    "archive": ("list", "remove", "verify", "pin", "unpin", "evict"),
    "tool": ("tool",),
    "worklist": ("worklist",),
    "project": ("project",),
    "link": ("open",),
    "register": ("register", "unregister"),
    "trust": ("trust",),
    "service": ("run", "serve"),
    "view": ("view",),
    "doctor": ("doctor",),
}

USAGE_ERROR: Any = typer.BadParameter.__base__  # it has no public name of its own


def run(arguments: list[str]) -> int:
    """Run one command; every error ends here as a sentence and an exit code."""
    console = Console()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the terminal cannot show ends nothing
    try:
        return _mended(arguments, console)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except DicomdockError as error:
        console.fail(error)
        _trace(console)
        return error.exit_code
    except OSError as error:
        console.fail(error)
        _trace(console)
        return FAILED
    except KeyboardInterrupt:
        return CANCELLED
    except Exception as error:  # noqa: BLE001 - the job boundary: nobody above could say it better
        console.fail(error, "An error that dicomdock did not expect ended this; -v shows where.")
        _trace(console)
        return FAILED


def _mended(arguments: list[str], console: Console) -> int:
    """Run one command; once more where it met a damaged index, which has been rebuilt by then."""
    try:
        return _ended(arguments, console)
    except IndexDamaged:
        if console.answered:
            raise
    return _ended(arguments, console)


def _ended(arguments: list[str], console: Console) -> int:
    """Run one command and give its exit code.

    Raises
    ------
    InvalidInput
        The words are not a command, and a script is to read why; a person is shown it here.
    """
    root = program(_modules(arguments))
    if "--json" not in arguments:
        root(arguments, prog_name="dicomdock", obj=console)
        return DONE
    for command in _commands(root):
        command.no_args_is_help = False  # help is not a document
    try:
        code = root(arguments, prog_name="dicomdock", obj=console, standalone_mode=False)
    except USAGE_ERROR as error:
        console.json = True  # the words are read in vain, perhaps before this one
        raise InvalidInput(error.format_message()) from error
    return code if isinstance(code, int) else DONE


def program(modules: Sequence[str] = tuple(GROUPS)) -> Any:  # what typer makes has no public type
    """Put groups together, and add the options that every command has.

    Parameters
    ----------
    modules : of ``dicomdock.cli``, whose commands are wanted; all of them for the help and for completion.
    """
    app = typer.Typer(
        name="dicomdock",
        help="Find, download, store, view, segment and upload medical images over DICOMweb.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for module in modules:
        app.add_typer(importlib.import_module(f"dicomdock.cli.{module}").commands)
    root = typer.main.get_command(app)
    for command in _commands(root):
        command.params.extend(global_options())
    return root


def _modules(arguments: Sequence[str]) -> Sequence[str]:
    """Return the modules that a command line needs: that of its command, all where it names none."""
    if "_DICOMDOCK_COMPLETE" in os.environ:  # a shell asks for the names of commands
        return tuple(GROUPS)
    words = iter(arguments)
    for word in words:
        if word == "--home":
            next(words, None)
        elif word not in ("--json", "-v", "--verbose") and not word.startswith("--home="):
            found = tuple(module for module, names in GROUPS.items() if word in names)
            return found or tuple(GROUPS)
    return tuple(GROUPS)


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


def _trace(console: Console) -> None:
    if console.verbose:
        import traceback

        traceback.print_exc(file=sys.stderr)
