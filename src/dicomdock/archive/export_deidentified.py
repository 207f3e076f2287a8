"""Export instances as de-identified copies, under names that are made of what leaves.

References
----------
PS3.15 Annex E.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pydicom.dataset import Dataset

from dicomdock.archive.export import Exported, Namer, Planned
from dicomdock.archive.problems import damaged_error
from dicomdock.archive.storage.local import IntegrityCheck, disk_errors
from dicomdock.deidentify import Deidentifier, HeldBack, Report
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput

Write = Callable[[PurePosixPath, bytes], None]


def export_folder(
    plan: Sequence[Planned],
    folder: Path,
    integrity: IntegrityCheck,
    deidentifier: Deidentifier,
    report: Report,
) -> Iterator[Exported]:
    """Write de-identified copies under a folder; nothing that is there is overwritten.

    Raises
    ------
    InvalidInput
        A file of that name is there.
    NoSpace, ArchiveError
        It cannot be written; or instances are damaged, and the others have been exported.
    MissingDependency
        Pixels that are to be blanked need a decoder that is not installed.
    """

    def write(name: PurePosixPath, data: bytes) -> None:
        target = folder / name
        with disk_errors(f"Exporting to {folder}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise InvalidInput(f"{target} is there already; export to another folder, or remove it.")
            partial = target.with_name(target.name + ".part")
            try:
                partial.write_bytes(data)
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    yield from _export(plan, integrity, deidentifier, report, write)


def export_zip(
    plan: Sequence[Planned],
    target: Path,
    integrity: IntegrityCheck,
    deidentifier: Deidentifier,
    report: Report,
) -> Iterator[Exported]:
    """Write de-identified copies into one zip file; it appears when it is whole, and without times.

    Raises
    ------
    InvalidInput
        The file is there.
    NoSpace, ArchiveError
        It cannot be written; or instances are damaged, and the others have been exported.
    MissingDependency
        Pixels that are to be blanked need a decoder that is not installed.
    """
    if target.exists():
        raise InvalidInput(f"{target} is there already; choose another name, or remove it.")
    partial = target.with_name(target.name + ".part")
    damaged: list[Resource] = []
    with disk_errors(f"Exporting to {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:

                def write(name: PurePosixPath, data: bytes) -> None:
                    archive.writestr(zipfile.ZipInfo(str(name)), data)  # of 1 January 1980

                damaged = yield from _copies(plan, integrity, deidentifier, report, write)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    if damaged:
        raise damaged_error(damaged)


def _export(
    plan: Sequence[Planned],
    integrity: IntegrityCheck,
    deidentifier: Deidentifier,
    report: Report,
    write: Write,
) -> Iterator[Exported]:
    damaged = yield from _copies(plan, integrity, deidentifier, report, write)
    if damaged:
        raise damaged_error(damaged)


def _copies(
    plan: Sequence[Planned],
    integrity: IntegrityCheck,
    deidentifier: Deidentifier,
    report: Report,
    write: Write,
) -> Generator[Exported, None, list[Resource]]:
    """Write the copies of what is not held back; return what is damaged."""
    namer = Namer()
    damaged: list[Resource] = []
    for done, one in enumerate(plan, 1):
        if not integrity.is_intact(one.source, one.size, one.digest):
            damaged.append(one.resource)
            continue
        with one.source.open("rb") as file:
            outcome = deidentifier.file(file)
        if isinstance(outcome, HeldBack):
            report.hold_back(str(one.resource), outcome.reason)
            continue
        resource = deidentifier.resource(one.resource)
        name = _name(namer, resource, outcome.dataset)
        write(name, outcome.data)
        report.add(outcome.changes, blanked=outcome.blanked)
        yield Exported(resource, name, len(outcome.data), done, len(plan))
    return damaged


def _name(namer: Namer, resource: Resource, dataset: Dataset) -> PurePosixPath:
    """Return a name made of the de-identified attributes."""

    def text(keyword: str) -> str:
        value = dataset.get(keyword)
        return "" if value is None else str(value)

    number = text("SeriesNumber")
    return namer.name(
        resource,
        "",
        text("PatientID") or text("PatientName"),
        text("StudyDate"),
        text("StudyDescription"),
        int(number) if number.lstrip("+-").isdigit() else None,
        text("Modality"),
        text("SeriesDescription"),
    )
