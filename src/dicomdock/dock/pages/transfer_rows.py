"""A transfer in words and numbers, as every page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dicomdock.dicom.json_model import text, texts
from dicomdock.dicom.names import person_name
from dicomdock.dicom.query import Query
from dicomdock.dock import formatting
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.errors import DicomdockError
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
    """Seconds until it ends at its present rate; None where that is unknown."""
    progress = transfer.progress
    if transfer.state != "running" or not progress.expected or not progress.done or progress.seconds < 1:
        return None
    return progress.seconds * (progress.expected - progress.done) / progress.done


def words(transfer: Transfer) -> str:
    """Where it stands: ``running, 120 of 384 images, 25 MB, 8.1 MB/s``."""
    progress = transfer.progress
    parts = [STATES[transfer.state]]
    if progress.expected:
        parts.append(
            f"{formatting.number(progress.done)} of {formatting.counted(progress.expected, 'image')}"
        )
    elif progress.done:
        parts.append(formatting.counted(progress.done, "image"))
    if progress.bytes:
        parts.append(formatting.size(progress.bytes))
    if transfer.state == "running" and progress.rate:
        parts.append(f"{formatting.size(progress.rate)}/s")
    if progress.failed:
        parts.append(f"{formatting.number(progress.failed)} failed")
    return ", ".join(parts)


def what(transfer: Transfer) -> str:
    """What is transferred, where no more is known than UIDs."""
    studies = {resource.split("/")[0] for resource in transfer.resources}
    if transfer.files:
        return formatting.counted(len(transfer.files), "file")
    if len(studies) < len(transfer.resources):
        return formatting.counted(len(transfer.resources), "series", "series")
    return formatting.counted(len(studies), "study", "studies")


def goes(transfer: Transfer) -> bool:
    """Return whether it runs or waits for its turn."""
    return transfer.state in ("queued", "running")


def title(transfer: Transfer, names: Mapping[str, str]) -> str:
    """Name a transfer by whose study it is, where that is known.

    Parameters
    ----------
    names : as ``names`` gives them.
    """
    studies = {resource.split("/")[0] for resource in transfer.resources}
    if len(studies) == 1 and (name := names.get(next(iter(studies)))):
        series = sum("/" in resource for resource in transfer.resources)
        return name + (f" ({formatting.counted(series, 'series', 'series')})" if series else "")
    return what(transfer)


def names(local: LocalArchive, transfers: Sequence[Transfer]) -> dict[str, str]:
    """Look up whose studies these are, as far as they are here."""
    uids = {resource.split("/")[0] for transfer in transfers for resource in transfer.resources}
    if not uids:
        return {}
    found = {}
    try:
        for page in local.archive.search(
            Query("studies", {"StudyInstanceUID": ",".join(uids)}, ("StudyDescription",))
        ):
            for match in page.matches:
                asked = match.attributes
                name = person_name("".join(texts(asked, "PatientName")[:1])) or text(asked, "PatientID")
                day = formatting.dicom_date(text(asked, "StudyDate"))
                found[text(asked, "StudyInstanceUID")] = ", ".join(part for part in (name, day) if part)
    except DicomdockError:
        return {}
    return found
