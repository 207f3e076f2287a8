"""Hold: the time at which a server that is overloaded wants to be asked again, for all who ask it.

References
----------
RFC 9110 §10.2.3 (Retry-After).
"""

from __future__ import annotations

import time

PATIENCE = 600.0
"""Seconds for which many who wait for a server go on asking it, as it wants them to by Retry-After."""


class Hold:
    """When a server may be asked again; shared by requests in several threads."""

    def __init__(self) -> None:
        self._until = 0.0
        self._since: float | None = None  # the first of the refusals that no other answer came between

    def ask(self, seconds: float) -> None:
        """Note that the server wants no request for so long."""
        now = time.monotonic()
        self._until = max(self._until, now + seconds)
        if self._since is None:
            self._since = now

    def answered(self) -> None:
        """Note that the server does what it is asked again."""
        self._since = None

    @property
    def patient(self) -> bool:
        """Whether to ask once more, however often the server has refused already."""
        return self._since is None or time.monotonic() - self._since < PATIENCE

    @property
    def seconds(self) -> float:
        """The time until the server may be asked; 0 where it may be now."""
        return max(0.0, self._until - time.monotonic())
