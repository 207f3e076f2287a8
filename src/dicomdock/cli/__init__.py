"""The command line: ``dicomdock``. One file per group of commands, each a few lines over the library."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Parameters
    ----------
    arguments : words after the program's name; the process's own where none are given.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:  # answered before anything is loaded
        from dicomdock import __version__

        sys.stdout.write(f"dicomdock {__version__}\n")
        return 0
    from dicomdock.cli.app import run

    return run(words)
