"""The transport of this system."""

from __future__ import annotations

import sys

from dicomdock.launch.handoff.transport import Transport


def system_transport() -> Transport:
    """Return how processes connect on this system."""
    if sys.platform == "win32":
        from dicomdock.launch.handoff.pipe import NamedPipe

        return NamedPipe()
    from dicomdock.launch.handoff.unix import UnixSocket

    return UnixSocket()
