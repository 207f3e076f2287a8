"""Notify a user without a terminal that a click opened nothing; and the log of links."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from dicomdock.config.home import private_folder
from dicomdock.config.settings import Settings

_MAX_LOG = 256 * 1024  # bytes; then the log starts anew beside its predecessor


def tell(sentence: str) -> None:
    """Write it to standard error; where nobody reads that, show it as a notification of the desktop.

    Parameters
    ----------
    sentence : our own words; nothing of a link.
    """
    if sys.stderr is not None:  # a program without console has none
        print(f"dicomdock: {sentence}", file=sys.stderr)  # noqa: T201
        if sys.stderr.isatty():
            return
    _notify(sentence)


def _notify(sentence: str) -> None:
    import shutil
    import subprocess

    if sys.platform == "win32":
        import ctypes

        ctypes.windll.user32.MessageBoxW(None, sentence, "dicomdock", 0x40)
        return
    if sys.platform == "darwin":
        script = ("on run words", 'display notification (item 1 of words) with title "dicomdock"', "end run")
        command = ["/usr/bin/osascript", *(word for line in script for word in ("-e", line)), sentence]
    else:
        notifier = shutil.which("notify-send")
        if notifier is None:
            return
        command = [notifier, "--app-name=dicomdock", "dicomdock", sentence]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5, check=False)


def record(settings: Settings, sentence: str) -> None:
    """Add a line to ``links.log`` in the state folder, readable by its owner only.

    Parameters
    ----------
    settings : whose log.
    sentence : our own words; nothing of a link but its scheme.
    """
    file = settings.state / "links.log"
    with contextlib.suppress(OSError):  # a log that cannot be written must not stop a study from opening
        private_folder(settings.state)
        if file.exists() and file.stat().st_size > _MAX_LOG:
            file.replace(file.with_suffix(".log.old"))
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {sentence}\n")
