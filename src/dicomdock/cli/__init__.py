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
        from dicomdock.version import __version__

        sys.stdout.write(f"dicomdock {__version__}\n")
        return 0
    return _process(words) if arguments is None else _run(words)


def _process(words: list[str]) -> int:
    """Run a command as the whole of this process.

    What libraries warn of, with lines of their source, is not for the user; ``python -W`` shows it.
    What it loads lives to its end: to look through that for garbage, again and again while it is loaded and
    once more when the process ends, would be a third of a short command's work.
    """
    import gc
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    gc.set_threshold(100_000)  # a pull with its modules makes 55,000 objects
    try:
        return _run(words)
    finally:
        gc.freeze()


def _run(words: list[str]) -> int:
    from dicomdock.cli.app import run

    return run(words)
