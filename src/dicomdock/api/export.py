"""Exporting to NIfTI and NRRD: a file for each volume and segmentation, under names that people read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from dicomdock.api.files import Format as Format
from dicomdock.api.files import note_of, write_segmentation, write_volume
from dicomdock.api.instances import headers_of, read
from dicomdock.api.segmentation import read as read_segmentation
from dicomdock.api.sidecar import Note
from dicomdock.api.volume import fill
from dicomdock.archive.export import clean_name
from dicomdock.archive.storage.local import disk_errors
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.sop_classes import Kind
from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.geometry import VolumePlan, split_series
from dicomdock.imaging.parametric import read_parametric_map

if TYPE_CHECKING:
    from dicomdock.api.archive import Archive

_VOLUME = {"nifti": ".nii.gz", "nrrd": ".nrrd"}
_NOTHING = "It has no voxels: a report, a document, or settings for showing images."
_SEGMENTATION = {"nifti": ".nii.gz", "nrrd": ".seg.nrrd"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one volume or segmentation.

    Parameters
    ----------
    resource : its series, or the instance of a segmentation.
    status : ``written``; ``passed over`` (it has no voxels: a report, a document); ``failed``.
    path : its name below the folder; empty where it was not written.
    size : bytes.
    reason : why it was not written.
    done, total : series that are done, and how many there are.
    """

    resource: Resource
    status: Literal["written", "passed over", "failed"]
    path: str = ""
    size: int = 0
    reason: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """An instance that is to be exported, its file, and the name that it would have as DICOM."""

    resource: Resource
    file: Path
    name: PurePosixPath
    kind: Kind

    @property
    def series(self) -> Resource:
        """Its series."""
        return Resource(self.resource.study, self.resource.series)


def export_as(archive: Archive, items: Sequence[Item], folder: Path, form: Format) -> Iterator[Exported]:
    """Write what instances hold, series by series; see ``Archive.export_as``."""
    groups = [list(group) for _, group in groupby(items, key=lambda one: one.series)]
    for done, group in enumerate(groups, 1):
        target = _Target(folder, form)
        images = group[0].kind == "image"
        for outcome in _images(group, target) if images else _objects(archive, group, target):
            yield replace(outcome, done=done, total=len(groups))


@dataclass(frozen=True, slots=True)
class _Target:
    folder: Path
    form: Format

    def write(self, resource: Resource, name: str, make: Callable[[Path], int]) -> Exported:
        """Write one file below the folder; what it cannot hold becomes a reason."""
        path = self.folder / name
        for there in (path, note_of(path)):
            if there.exists():
                raise InvalidInput(f"{there} is there already; export to another folder, or remove it.")
        with disk_errors(f"Exporting to {self.folder}"):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return Exported(resource, "written", name, make(path))
        except GeometryError as error:
            return Exported(resource, "failed", reason=str(error))


def _images(items: Sequence[Item], target: _Target) -> Iterator[Exported]:
    series, base = items[0].series, str(items[0].name.parent)
    paths = [item.file for item in items]
    try:
        headers = headers_of(paths)
        plans = split_series(headers)
    except GeometryError as error:
        yield Exported(series, "failed", reason=str(error))
        return
    for number, plan in enumerate(plans, 1):
        several = f" {clean_name(f'({number}) {plan.label}')}" if len(plans) > 1 else ""

        def make(path: Path, plan: VolumePlan = plan) -> int:
            volume = fill(plan.require_spatial(), paths, headers)
            return write_volume(volume, path, Note(series, name=volume.name, units=volume.units))

        yield target.write(series, f"{base}{several}{_VOLUME[target.form]}", make)


def _objects(archive: Archive, items: Sequence[Item], target: _Target) -> Iterator[Exported]:
    for number, item in enumerate(items, 1):
        base = f"{item.name.parent}{f' ({number})' if len(items) > 1 else ''}"
        if item.kind in ("segmentation", "structures"):

            def make_labels(path: Path, item: Item = item) -> int:
                found = read_segmentation(archive, item.resource)
                return write_segmentation(found, path, Note.of(found, item.resource, found.images))

            yield target.write(item.resource, f"{base}{_SEGMENTATION[target.form]}", make_labels)
        elif item.kind == "parametric map":

            def make_map(path: Path, item: Item = item) -> int:
                found = read_parametric_map(read(item.file))
                note = Note(item.resource, name=found.name, units=found.unit.meaning)
                return write_volume(found.volume, path, note)

            yield target.write(item.resource, f"{base}{_VOLUME[target.form]}", make_map)
        else:
            yield Exported(item.resource, "passed over", reason=_NOTHING)
