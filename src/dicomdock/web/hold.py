"""Hold: the time at which a server that is overloaded wants to be asked again, for all who ask it.

References
----------
RFC 9110 §10.2.3 (Retry-After).
"""

from __future__ import annotations

import time


class Hold:
    """When a server may be asked again; shared by requests in several threads."""

    def __init__(self) -> None:
        self._until = 0.0

    def ask(self, seconds: float) -> None:
        """Note that the server wants no request for so long."""
        self._until = max(self._until, time.monotonic() + seconds)

    @property
    def seconds(self) -> float:
        """The time until the server may be asked; 0 where it may be now."""
        return max(0.0, self._until - time.monotonic())
