"""Pass a link to the one running dock of this user, and start the dock when none runs.

The link travels through a Unix socket that only its user can reach (on Windows a named pipe with a key that
only its user can read), never through arguments, environment or files.
"""

from __future__ import annotations

from dicomdock.launch.handoff.client import Ack, NotRunning, default_command, send, show
from dicomdock.launch.handoff.server import AlreadyRunning, HandoffServer

__all__ = ["Ack", "AlreadyRunning", "HandoffServer", "NotRunning", "default_command", "send", "show"]
