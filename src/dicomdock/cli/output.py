"""Console: where a command reads settings, asks for secrets, shows progress and writes its result."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dicomdock.cli.formatting import plain
from dicomdock.config.home import make_home
from dicomdock.config.settings import Settings
from dicomdock.errors import Cancelled, InvalidInput

if TYPE_CHECKING:
    from dicomdock.sources import JsonValue
    from dicomdock.transfer import Progress

Report = TypeVar("Report")

MAX_SECRET = 64 << 10  # characters of a password or token; a long JWT has some thousand


@dataclass
class Console:
    """The settings, prompts, progress and results of one command.

    Parameters
    ----------
    json : standard output gets one JSON document and nothing else.
    home : folder of everything, where it was given.
    verbose : report more on standard error.
    answered : something was written to standard output.
    """

    json: bool = False
    home: Path | None = None
    verbose: bool = False
    answered: bool = False

    @cached_property
    def settings(self) -> Settings:
        """The settings of this run; their folders are made, and closed to other users, on the way."""
        settings = Settings.load(self.home)
        self.note(*make_home(settings.config, settings.state))
        return settings

    def result(self, document: JsonValue) -> None:
        """Write the JSON document, where ``--json`` asks for it."""
        if self.json:
            self.answered = True
            sys.stdout.write(json.dumps(document, indent=1) + "\n")

    def print(self, *lines: str) -> None:
        """Write lines for a person, on standard output."""
        if not self.json:
            for line in lines:
                self.answered = True
                sys.stdout.write(plain(line) + "\n")

    def note(self, *lines: str) -> None:
        """Write remarks, on standard error."""
        for line in lines:
            sys.stderr.write(plain(line) + "\n")

    def flush(self) -> None:
        """Let a reader at the other end of a pipe see what was written so far."""
        sys.stdout.flush()

    def fail(self, error: BaseException, sentence: str = "") -> None:
        """Report what ended the command, on standard error; with ``json`` also as the document."""
        sentence = sentence or _sentence(error)
        self.note(sentence)
        self.result({"error": {"kind": type(error).__name__, "message": sentence}})

    def secret(self, what: str, *, from_stdin: bool) -> str:
        """Read a password or token: the first line of standard input, or typed unseen.

        A password may be empty where it is given as an empty line.

        Raises
        ------
        InvalidInput
            There is nobody to ask, or nothing was given.
        """
        empty = False
        if from_stdin:
            line = _first_line(what)
            text = line.rstrip("\r\n")
            empty = what == "Password" and bool(line)
        elif sys.stdin.isatty():
            import getpass

            text = getpass.getpass(f"{what}: ")
        else:
            option = "--token-stdin" if what == "Token" else "--password-stdin"
            raise InvalidInput(f"Nobody is here to type the {what.lower()}; give it with {option}.")
        if not text and not empty:
            raise InvalidInput(f"The {what.lower()} is empty.")
        return text

    @property
    def attended(self) -> bool:
        """A person is there, who can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> bool:
        """Ask a person yes or no; nobody there is a no."""
        if not self.attended:
            return False
        sys.stderr.write(f"{plain(question)} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def follow(self, work: Generator[Progress, None, Report], what: str) -> Report:
        """Run a transfer to its report, with a bar on a terminal.

        Raises
        ------
        Cancelled
            An interrupt (Ctrl-C) ended it.
        """
        try:
            with closing(work):
                if sys.stderr.isatty():
                    from dicomdock.cli.progress_bar import show

                    return show(work, what)
                from dicomdock.transfer.progress import finish

                return finish(work)
        except KeyboardInterrupt:
            raise Cancelled(f"The {what} was cancelled; what was done until then stays.") from None


def _first_line(what: str) -> str:
    """Return the first line of standard input without its byte order mark.

    Windows' editors and shells write one, and UTF-16 with it.
    """
    raw = getattr(sys.stdin, "buffer", None)
    if raw is None:
        return sys.stdin.readline(MAX_SECRET).removeprefix("\ufeff")
    line = raw.readline(MAX_SECRET)
    try:
        if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return str((line + raw.read(MAX_SECRET)).decode("utf-16")).partition("\n")[0] + "\n"
        try:
            return str(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            return str(line.decode(sys.stdin.encoding or "utf-8"))
    except UnicodeDecodeError:
        raise InvalidInput(f"The {what.lower()} is not text in UTF-8 (or UTF-16 with its mark).") from None


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}."
    return str(error) or type(error).__name__


def examples(*lines: str) -> str:
    """Make the end of a command's help."""
    shown: Iterable[str] = (line.replace("[", r"\[") for line in lines)
    return "\n\n".join(("Examples:", *shown))
