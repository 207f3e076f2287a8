"""The exit codes of every command: a contract with scripts. Error classes state their own (``errors.py``)."""

from __future__ import annotations

DONE = 0
FAILED = 1
USAGE = 2
PARTLY = 3
NOT_AUTHORISED = 4
CANCELLED = 130
