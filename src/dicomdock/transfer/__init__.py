"""Transfers between a source and the archive, in both directions, and their queue.

The names here are imported when they are first used: a pull needs nothing of a push. The functions ``pull``
and ``push`` are imported from the modules of their names.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomdock.transfer.files import Selection as Selection
    from dicomdock.transfer.files import parts_of_files as parts_of_files
    from dicomdock.transfer.files import select_files as select_files
    from dicomdock.transfer.missing import MissingSource as MissingSource
    from dicomdock.transfer.missing import locate as locate
    from dicomdock.transfer.missing import missing_sources as missing_sources
    from dicomdock.transfer.progress import Failure as Failure
    from dicomdock.transfer.progress import Progress as Progress
    from dicomdock.transfer.progress import PullReport as PullReport
    from dicomdock.transfer.progress import PushReport as PushReport
    from dicomdock.transfer.push import OnDuplicate as OnDuplicate
    from dicomdock.transfer.queue import Item as Item
    from dicomdock.transfer.queue import State as State
    from dicomdock.transfer.queue import Transfer as Transfer
    from dicomdock.transfer.queue import TransferQueue as TransferQueue
    from dicomdock.transfer.runner import Connect as Connect
    from dicomdock.transfer.runner import Runner as Runner
    from dicomdock.transfer.runner import run as run

_HOMES = {
    "Connect": "runner",
    "Failure": "progress",
    "Item": "queue",
    "MissingSource": "missing",
    "OnDuplicate": "push",
    "Progress": "progress",
    "PullReport": "progress",
    "PushReport": "progress",
    "Runner": "runner",
    "Selection": "files",
    "State": "queue",
    "Transfer": "queue",
    "TransferQueue": "queue",
    "locate": "missing",
    "missing_sources": "missing",
    "parts_of_files": "files",
    "run": "runner",
    "select_files": "files",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
