"""Outages: whether an error is about one instance, or its source is out of reach."""

from __future__ import annotations

from typing import Final, TypeGuard

from dicomdock.errors import DicomdockError, NotFound, ServerFault, TransactionError, Unreachable
from dicomdock.sources import DicomSource

# A source that cannot be reached so many times in a row is gone; waiting for every instance would take hours.
GONE_AFTER: Final = 3
GATEWAY: Final = frozenset({502, 503, 504})
BUSY: Final = GATEWAY | {429}
# At one instance whose answer is cut in its body; the connection alone repeats what has no body yet.
ATTEMPTS: Final = 3


def is_local(error: DicomdockError | None) -> TypeGuard[DicomdockError]:
    """Return whether an error is about one series: the source answered, and is not the one that is down."""
    return isinstance(error, NotFound) or (
        isinstance(error, TransactionError) and error.status not in GATEWAY
    )


def wait_when_asked(source: DicomSource) -> None:
    """Let a server that is overloaded, and says when to come back, be waited for from now on.

    What it refuses meanwhile would be missing from a transfer.
    """
    from dicomdock.dicomweb import Client

    if isinstance(source, Client):
        source.wait_when_asked()


class Failures:
    """Counts failures to reach the source, so that a dead server costs a few time-outs, not one each.

    A gateway that says so of the server behind it counts like one that does not answer itself.
    """

    def __init__(self) -> None:
        self.cause: DicomdockError | None = None
        self._row = 0
        self._failures = 0

    @property
    def attempts(self) -> int:
        """How often an instance is tried; once where several in a row failed for good."""
        return 1 if self._failures >= GONE_AFTER else ATTEMPTS

    def note(self, error: DicomdockError | None) -> None:
        """Count an error; None for what succeeded."""
        gone = isinstance(error, Unreachable) or (isinstance(error, ServerFault) and error.status in GATEWAY)
        self._row = self._row + 1 if gone else 0
        self._failures = 0 if error is None else self._failures + 1
        if self._row >= GONE_AFTER:
            self.cause = error
