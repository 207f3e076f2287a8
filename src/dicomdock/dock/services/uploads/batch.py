"""Batch: files that came together, from their arrival to what became of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.uploads.inspect import InspectedFile, SeriesGroup
from dicomdock.errors import WireError
from dicomdock.sources import Part

if TYPE_CHECKING:
    from dicomdock.archive import Archive

Stage = Literal["arrived", "storing", "stored"]
PUBLISH_EVERY = 32  # files between two events about the progress


@dataclass(frozen=True)
class Outcome:
    """What became of one file here.

    Parameters
    ----------
    name : of the file, as the user knows it.
    resource : its place; None where it has none.
    stored : it is in the archive, as it came.
    words : what became of it.
    """

    name: str
    resource: Resource | None
    stored: bool
    words: str


@dataclass
class Batch:
    """Files that the user dropped together.

    Parameters
    ----------
    key : stands in the address of its page.
    folder : where the files lie until they are stored.
    files : what came so far.
    stage : how far it is.
    done : files stored so far.
    outcomes : what became of each file, once it was tried.
    transfer : the number of the upload to a server, where there is one.
    server : its name.
    message : why it ended early, in words.
    """

    key: str
    folder: Path
    files: list[InspectedFile] = field(default_factory=list)
    stage: Stage = "arrived"
    done: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    transfer: int | None = None
    server: str = ""
    message: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self) -> bool:
        """Begin to keep the files; False where somebody else did already."""
        with self.lock:
            if self.stage != "arrived":
                return False
            self.stage = "storing"
            return True


def store(
    batch: Batch,
    groups: Sequence[SeriesGroup],
    rest: Sequence[InspectedFile],
    archive: Archive,
    publish: Callable[[], None],
) -> list[Resource]:
    """Put the files of these series into the archive, byte for byte, and say what became of each.

    Returns
    -------
    The instances that are in the archive now as they came.
    """
    stored: dict[Resource, Outcome] = {}
    others: list[Outcome] = [Outcome(file.name, None, False, _refused(file)) for file in rest]
    try:
        with archive.writer() as writer:
            for file in (file for group in groups for file in group.files):
                outcome = _add(file, lambda part, place: writer.add(part, place).status)
                if outcome.stored and outcome.resource is not None:
                    stored[outcome.resource] = outcome
                else:
                    others.append(outcome)
                batch.done += 1
                if batch.done % PUBLISH_EVERY == 0:
                    publish()
            for late in writer.flush():
                if late.status == "conflict":
                    lost = stored.pop(late.resource)
                    others.append(Outcome(lost.name, late.resource, False, _WORDS["conflict"]))
    finally:
        batch.outcomes = [*others, *stored.values()]
    return list(stored)


def _add(file: InspectedFile, add: Callable[[Part, Resource], str]) -> Outcome:
    assert file.resource is not None
    if file.issue in ("twice", "clash"):
        return Outcome(file.name, file.resource, False, _refused(file))
    try:
        status = add(Part.from_file(file.path), file.resource)
    except WireError as error:
        return Outcome(file.name, file.resource, False, f"not stored: {error}")
    return Outcome(file.name, file.resource, status in ("stored", "identical"), _WORDS[status])


_WORDS = {
    "stored": "stored",
    "identical": "was stored already",
    "conflict": "not stored: the archive has this instance with other content",
}


def _refused(file: InspectedFile) -> str:
    return f"not stored: {file.reason}"


def compact(archive: Archive, instances: Collection[Resource]) -> list[Resource]:
    """Name these instances by their series where that means no others."""
    by_series: dict[Resource, list[Resource]] = {}
    for instance in instances:
        by_series.setdefault(Resource(instance.study, instance.series), []).append(instance)
    named: list[Resource] = []
    for series, group in by_series.items():
        whole = archive.present(series) == {instance.instance for instance in group}
        named += [series] if whole else group
    return named
