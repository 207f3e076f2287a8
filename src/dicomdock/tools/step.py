"""What a tool reports while it runs, and how it is asked to stop."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from dicomdock.errors import Cancelled, TimedOut


@dataclass(frozen=True, slots=True)
class Step:
    """What a tool is at.

    Parameters
    ----------
    line : what it said last, or what is done with it.
    seconds : since the run began.
    """

    line: str
    seconds: float


@dataclass
class Run:
    """One run of a tool: until when it may go on. The event is set by another thread to cancel it.

    Parameters
    ----------
    name : of the tool.
    timeout : seconds that it may take.
    """

    name: str
    timeout: float
    cancelled: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds since it began."""
        return time.monotonic() - self.started

    def step(self, line: str) -> Step:
        """Return what the tool is at now."""
        return Step(line, self.seconds)

    def check(self) -> None:
        """Refuse to go on.

        Raises
        ------
        Cancelled
            Somebody has cancelled it.
        TimedOut
            It has taken longer than it may.
        """
        if self.cancelled.is_set():
            raise Cancelled(f"The tool {self.name} was cancelled; nothing was stored.")
        if self.seconds > self.timeout:
            raise TimedOut(
                f"The tool {self.name} took longer than {self.timeout:g} seconds and was ended; nothing was"
                " stored. If it needs longer, set timeout in its declaration."
            )
