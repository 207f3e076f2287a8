"""Bring one link, read from standard input, to a dock that must be started first."""

from __future__ import annotations

import os
import sys

from dicomdock.config.settings import Settings
from dicomdock.errors import DicomdockError
from dicomdock.launch import MAX_LINK
from dicomdock.launch.handoff.client import send
from dicomdock.launch.notifications import record, tell


def main() -> int:
    """Start the dock and hand the link over; give the exit status."""
    link = os.fsdecode(sys.stdin.buffer.read(4 * MAX_LINK))
    try:
        settings = Settings.load()
    except DicomdockError as error:
        tell(str(error))
        return 1
    try:
        send(link, settings)
    except DicomdockError as error:
        record(settings, f"link not handed over: {error}")
        tell(str(error))
        return 1
    record(settings, "link handed over to a new dock")
    return 0


if __name__ == "__main__":
    sys.exit(main())
