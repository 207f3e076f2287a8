"""Transfers between a source and the archive, in both directions, and their queue."""

from __future__ import annotations

from dicomdock.transfer.files import Selection, parts_of_files, select_files
from dicomdock.transfer.missing import MissingSource, locate, missing_sources
from dicomdock.transfer.progress import Failure, Progress, PullReport, PushReport
from dicomdock.transfer.pull import pull
from dicomdock.transfer.push import OnDuplicate, push
from dicomdock.transfer.queue import Item, State, Transfer, TransferQueue
from dicomdock.transfer.runner import Connect, Runner, run

__all__ = [
    "Connect",
    "Failure",
    "Item",
    "MissingSource",
    "OnDuplicate",
    "Progress",
    "PullReport",
    "PushReport",
    "Runner",
    "Selection",
    "State",
    "Transfer",
    "TransferQueue",
    "locate",
    "missing_sources",
    "parts_of_files",
    "pull",
    "push",
    "run",
    "select_files",
]
