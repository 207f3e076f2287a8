"""``dicomdock-open LINK``: what the system starts when a link is clicked.

Every user of the machine can read our arguments, and those of the program that started us, for as long as
we run. So we end within milliseconds: a running dock gets the link through its socket; when none runs,
``deferred_open`` gets it through a pipe and starts one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from dicomdock.config.home import make_home
from dicomdock.config.settings import Settings
from dicomdock.errors import DicomdockError, LaunchError
from dicomdock.launch import MAX_LINK, SCHEMES
from dicomdock.launch.handoff.client import NotRunning, send
from dicomdock.launch.notifications import record, tell


def main() -> int:
    """Send the link in the arguments to the dock; return the exit status."""
    try:
        settings = Settings.load()
        for remark in make_home(settings.config, settings.state):
            record(settings, remark)
        return open_link(sys.argv[1:], settings)
    except DicomdockError as error:
        tell(str(error))
        return 1


def open_link(arguments: Sequence[str], settings: Settings) -> int:
    """Send a link to the dock, or refuse it.

    Parameters
    ----------
    arguments : exactly one link of a scheme of ours, raw bytes as surrogates.
    settings : whose dock.

    Returns
    -------
    int
        0 when the dock has the link, 2 when the arguments are not a link, 1 when it could not be opened.
    """
    scheme = scheme_of(arguments)
    if scheme is None:
        if sys.platform == "win32" and _hand_on(arguments, settings):
            return 0
        record(settings, "refused: not exactly one link")
        tell("dicomdock-open takes exactly one link, which begins with slicer://, dicomdock:// or weasis://.")
        return 2
    try:
        try:
            send(arguments[0], settings, command=())
            record(settings, f"{scheme}:// link sent to the dock")
        except NotRunning:
            _defer(arguments[0], settings)
            record(settings, f"{scheme}:// link waits for the dock to start")
    except LaunchError as error:
        record(settings, f"{scheme}:// link not opened: {error.reason}")
        tell(error.reason)
        return 1
    return 0


def scheme_of(arguments: Sequence[str]) -> str | None:
    """Return the scheme where there is exactly one argument, and it is a link of ours."""
    if len(arguments) != 1 or len(arguments[0]) > MAX_LINK:
        return None
    scheme, separator, _ = arguments[0][:16].partition(":")
    return scheme.lower() if separator and scheme.lower() in SCHEMES else None


def _defer(link: str, settings: Settings) -> None:
    """Pass the link to a process that has the time to start a dock."""
    from dicomdock.launch.detached import start_detached
    from dicomdock.launch.python_command import python

    read_end, write_end = os.pipe()
    try:
        carrier = start_detached(
            (*python(), "-m", "dicomdock.launch.deferred_open"), settings, source=read_end
        )
        carrier.returncode = 0  # it lives on without us
        os.write(write_end, os.fsencode(link)[: 4 * MAX_LINK])  # at most 64 kB, which a pipe holds at once
    except OSError as error:
        raise LaunchError(f"The dock could not be started: {error.strerror}.") from error
    finally:
        os.close(read_end)
        os.close(write_end)


def _hand_on(arguments: Sequence[str], settings: Settings) -> bool:
    """Pass what is not a link to the program that opened it before: on Windows, 3D Slicer's .mrb files."""
    from dicomdock.launch.register.windows import hand_on

    return hand_on(arguments, settings)


if __name__ == "__main__":
    sys.exit(main())
