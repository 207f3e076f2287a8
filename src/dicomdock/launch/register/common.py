"""What the systems share: the status, the record of what was before, the wrapper script, running commands."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from dicomdock.config.home import make_folders, write_private
from dicomdock.config.settings import Settings
from dicomdock.config.toml_file import JsonFile, Table
from dicomdock.errors import LaunchError
from dicomdock.launch.detached import home_of
from dicomdock.launch.python_command import python

State = Literal["ours", "free", "other", "broken"]
Run: TypeAlias = "Callable[[Sequence[str], str], tuple[int, str]]"
"""Runs a command with a text on its standard input; gives exit status and output, 127 if it is not there."""

ANOTHER_INSTALLATION = "links are tied to another installation"
_TIME = 60.0  # seconds; osacompile and lsregister can be slow on a cold machine


@dataclass(frozen=True, slots=True)
class SchemeStatus:
    """Who opens the links of a scheme.

    Parameters
    ----------
    scheme : without ``://``.
    state : ``ours``; ``free`` when nobody does; ``other`` when another program does; ``broken`` when it
        should be us and a click would come to nothing.
    handler : who does, in words; empty when nobody.
    remedy : the sentence that says what to do; empty when all is well.
    """

    scheme: str
    state: State
    handler: str = ""
    remedy: str = ""


class Registrar(Protocol):
    """Registration on one system."""

    def status(self, scheme: str) -> SchemeStatus:
        """Return who opens the links of a scheme."""

    def register(self, scheme: str) -> None:
        """Make them open with us, whoever had them; LaunchError when the system does not take it."""

    def unregister(self, scheme: str) -> None:
        """Return them to whoever had them before; nothing happens when they are not ours."""


class Record:
    """What opened links before us, by scheme, stored in ``registration.json`` of the state folder."""

    def __init__(self, settings: Settings) -> None:
        self._file = JsonFile(settings.state / "registration.json")

    def get(self, scheme: str) -> Any:  # JSON, of each system's own shape
        """Return what was remembered for a scheme; None when nothing was."""
        return self._file.read().get(scheme)

    def set(self, scheme: str, before: object) -> None:
        """Remember what was there before.

        Raises
        ------
        LaunchError
            The file cannot be written.
        """
        self._change(lambda table: {**table, scheme: before})

    def forget(self, scheme: str) -> None:
        """Remove what was remembered for a scheme.

        Raises
        ------
        LaunchError
            The file cannot be written.
        """
        if scheme in self._file.read():
            self._change(lambda table: {key: value for key, value in table.items() if key != scheme})

    def _change(self, edit: Callable[[Table], Table]) -> None:
        try:
            self._file.change(edit)
        except OSError as error:
            raise _unwritable(self._file.path, error) from error


def write_file(file: Path, text: str, *, mode: int) -> None:
    """Write a file for other programs, whole or not at all.

    Raises
    ------
    LaunchError
        It cannot be written.
    """
    try:
        make_folders(file.parent)
        write_private(file, text.encode(), mode=mode)
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> LaunchError:
    return LaunchError(f"The file {file} cannot be written: {error.strerror}.")


def wrapper_text(settings: Settings) -> str:
    """Return the script that starts this installation's opener, apart from the browser's environment."""
    home = home_of(settings)
    lines = [
        "#!/bin/sh",
        "# Made by `dicomdock register`: starts the opener of the installation it was run from.",
    ]
    if home is not None:
        lines.append(f"DICOMDOCK_HOME={shlex.quote(os.fspath(home))}; export DICOMDOCK_HOME")
    lines.append(f'exec {shlex.join(python())} -m dicomdock.launch.opener "$@"')
    return "\n".join(lines) + "\n"


def wrapper_problem(wrapper: Path, settings: Settings) -> str:
    """Return what is wrong with the wrapper; empty when nothing is."""
    try:
        text = wrapper.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return f"the program that takes links, {wrapper}, is gone"
    if not os.access(wrapper, os.X_OK):
        return f"the program that takes links, {wrapper}, may not be run"
    interpreter = _interpreter(text)
    if interpreter and not Path(interpreter).exists():
        return f"links are tied to {interpreter}, which is gone"
    return "" if text == wrapper_text(settings) else f"{ANOTHER_INSTALLATION} ({interpreter})"


def check_python(run: Run) -> None:
    """Make sure that the opener starts in the bare environment that a browser's click gives it.

    Raises
    ------
    LaunchError
        It does not.
    """
    status, output = run((*python(), "-c", "import dicomdock.launch.opener"), "")
    if status:
        answer = output.strip().splitlines()[-1:] or ["nothing"]
        raise LaunchError(
            f"{python()[0]} does not find dicomdock without PYTHONPATH (its answer: {answer[0][:200]}); "
            "install dicomdock with pip into that Python, then register again."
        )


def run_command(command: Sequence[str], text: str = "") -> tuple[int, str]:
    """Run a command of the system."""
    try:
        done = subprocess.run(
            list(command),
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIME,
            check=False,
            umask=0o077,  # of the desktop's lists, which programs that others could choose are named in
        )
    except FileNotFoundError:
        return 127, f"{command[0]} is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return 126, str(error)
    return done.returncode, done.stdout + done.stderr if done.returncode else done.stdout


def _interpreter(wrapper: str) -> str:
    for line in wrapper.splitlines():
        if line.startswith("exec "):
            try:
                return shlex.split(line)[1]
            except (ValueError, IndexError):
                return ""
    return ""
