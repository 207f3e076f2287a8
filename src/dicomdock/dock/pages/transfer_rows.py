"""A transfer in words and numbers, as every page shows it."""

from __future__ import annotations

from collections.abc import Mapping

from dicomdock.dock import human
from dicomdock.transfer import State, Transfer

STATES: Mapping[State, str] = {
    "queued": "waiting",
    "running": "running",
    "paused": "paused",
    "done": "done",
    "partly": "partly done",
    "failed": "failed",
    "cancelled": "cancelled",
}


def percent(transfer: Transfer) -> int | None:
    """How far it is; None while the server is still being asked."""
    progress = transfer.progress
    if transfer.state == "done":
        return 100
    if not progress.expected:
        return None
    return min(100, int(100 * progress.done / progress.expected))


def remaining(transfer: Transfer) -> float | None:
    """Seconds until it ends at its present rate; None where that cannot be told."""
    progress = transfer.progress
    if transfer.state != "running" or not progress.expected or not progress.done or progress.seconds < 1:
        return None
    return progress.seconds * (progress.expected - progress.done) / progress.done


def words(transfer: Transfer) -> str:
    """Where it stands: ``running, 120 of 384 images, 25 MB, 8.1 MB/s``."""
    progress = transfer.progress
    parts = [STATES[transfer.state]]
    if progress.expected:
        parts.append(f"{human.number(progress.done)} of {human.counted(progress.expected, 'image')}")
    elif progress.done:
        parts.append(human.counted(progress.done, "image"))
    if progress.bytes:
        parts.append(human.size(progress.bytes))
    if transfer.state == "running" and progress.rate:
        parts.append(f"{human.size(progress.rate)}/s")
    if progress.failed:
        parts.append(f"{human.number(progress.failed)} failed")
    return ", ".join(parts)


def what(transfer: Transfer) -> str:
    """What is transferred, where no more is known than UIDs."""
    studies = {resource.split("/")[0] for resource in transfer.resources}
    if transfer.files:
        return human.counted(len(transfer.files), "file")
    if len(studies) < len(transfer.resources):
        return human.counted(len(transfer.resources), "series", "series")
    return human.counted(len(studies), "study", "studies")
