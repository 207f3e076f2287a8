"""The exit codes of every command: a contract with scripts."""

from __future__ import annotations

from dicomdock.errors import AuthenticationError, Cancelled, DicomdockError, EmptyResult, InvalidInput

DONE = 0
FAILED = 1
USAGE = 2
PARTLY = 3
NOT_AUTHORISED = 4
CANCELLED = 130


def exit_code(error: DicomdockError) -> int:
    """Give the exit code of an error that ends a command."""
    if isinstance(error, AuthenticationError):
        return NOT_AUTHORISED
    if isinstance(error, InvalidInput):
        return USAGE
    if isinstance(error, EmptyResult):
        return PARTLY
    return CANCELLED if isinstance(error, Cancelled) else FAILED
