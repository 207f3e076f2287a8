"""Export to NIfTI, NRRD and meshes: a file for each volume and segmentation, under readable names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, starmap
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias, cast

from dicomdock import archive
from dicomdock.api.export_time import in_files, shared_keys, timing_of, undirected_remarks
from dicomdock.api.files import (
    MESH_ENDINGS,
    MeshFormat,
    stem_of,
    write_meshes,
    write_segmentation,
    write_series,
    write_volume,
)
from dicomdock.api.files import Format as VoxelFormat
from dicomdock.api.home import Home
from dicomdock.api.instances import headers_of, read
from dicomdock.api.segmentation import Segmentation
from dicomdock.api.segmentation import read as read_segmentation
from dicomdock.api.sidecar import Sidecar
from dicomdock.api.volume import fill
from dicomdock.archive.export import Planned, clean_name, unfinished
from dicomdock.archive.storage.local import disk_errors
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.sop_classes import Kind, kind_of
from dicomdock.errors import (
    ArchiveError,
    DamagedInstances,
    EmptyResult,
    GeometryError,
    InvalidInput,
    NoSpace,
    NotFound,
)
from dicomdock.imaging.geometry import VolumeGeometry, VolumePlan, split_series
from dicomdock.imaging.geometry.split_keys import words
from dicomdock.imaging.mesh import SMOOTHING, Mesh
from dicomdock.imaging.parametric import read_parametric_map
from dicomdock.imaging.segmentation import Segment
from dicomdock.imaging.volume import Volume, straight_grid

Format = VoxelFormat | MeshFormat

_VOLUME = {"nifti": ".nii.gz", "nrrd": ".nrrd"}
_SEGMENTATION = {"nifti": ".nii.gz", "nrrd": ".seg.nrrd"}

_ENDINGS = (".nii.gz", ".nii", ".nrrd", *MESH_ENDINGS.values())

_NOTHING = "It has no voxels: a report, a document, or settings for showing images."
_NO_SEGMENTS = "Meshes are made of segmentations and structure sets."
_EMPTY = "None of its segments has a voxel."
_SHEARED = "The grid is sheared, which ITK and 3D Slicer cannot read; --straighten resamples it."
_STRAIGHTENED = "The volume was resampled onto a grid with perpendicular axes."

_Written: TypeAlias = tuple[int, tuple[str, ...]]
"""The bytes of a file, and what the user should know of it."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The outcome for one volume or segmentation.

    Parameters
    ----------
    resource : its series, or the instance of a segmentation.
    status : ``written``; ``passed over`` (it has no voxels: a report, a document); ``empty`` (a segmentation
        of which no voxel could be read); ``failed``.
    path : its name below the folder; empty where it was not written.
    size : bytes.
    reason : why it was not written.
    done, total : series that are done, and how many there are.
    remarks : what the user should know of the file: missing slices, regions without voxels. One sentence
        each.
    """

    resource: Resource
    status: Literal["written", "passed over", "empty", "failed"]
    path: str = ""
    size: int = 0
    reason: str = ""
    done: int = 0
    total: int = 0
    remarks: tuple[str, ...] = ()


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


def export_as(
    local: archive.Archive,
    home: Home,
    resources: Sequence[Resource],
    folder: Path,
    form: Format,
    straighten: bool = False,
    smoothing: int = SMOOTHING,
) -> Iterator[Exported]:
    """Write what resources hold, series by series; see ``Archive.export_as``.

    A volume that cannot be written never ends the export: its outcome has the reason.

    Parameters
    ----------
    local : has the files.
    home : reads the images that a segmentation was drawn on.

    Raises
    ------
    NotFound
        A resource is not in the archive.
    InvalidInput
        The folder holds a file of one of the series already; nothing was written.
    NoSpace
        The disk is full.
    """
    plan = local.plan_export(resources)
    kinds = {
        one.resource: kind_of(one.sop_class_uid)
        for resource in resources
        for one in local.instances(resource)
    }
    files = {one.resource: one for one in plan}
    items = [Item(one.resource, one.source, one.name, kinds[one.resource]) for one in plan]
    groups = [list(group) for _, group in groupby(items, key=lambda one: one.series)]
    target = _Target(folder, form, straighten, smoothing)
    series = dict.fromkeys(item.name.parent for item in items)
    with unfinished(folder, "\n".join([form, *map(str, series)])) as again:
        if not again:
            target.refuse_existing(series)
        yield from _written(local, home, groups, files, target)


def _written(
    local: archive.Archive,
    home: Home,
    groups: Sequence[Sequence[Item]],
    files: Mapping[Resource, Planned],
    target: _Target,
) -> Iterator[Exported]:
    """Write one series after the other; what is damaged is not read."""
    for done, group in enumerate(groups, 1):
        damaged = {*local.damaged(files[item.resource] for item in group)}
        if target.form in MESH_ENDINGS and group[0].kind not in ("segmentation", "structures"):
            outcomes = iter([Exported(group[0].series, "passed over", reason=_NO_SEGMENTS)])
        elif group[0].kind == "image":  # a volume without some of its slices would be another one
            outcomes = _images(group, target) if not damaged else _refused(group[0].series, [*damaged])
        else:
            outcomes = chain(
                _objects(home, [item for item in group if item.resource not in damaged], target),
                *(_refused(item.resource, [item.resource]) for item in group if item.resource in damaged),
            )
        for outcome in outcomes:
            yield replace(outcome, done=done, total=len(groups))


def _refused(resource: Resource, damaged: Sequence[Resource]) -> Iterator[Exported]:
    yield Exported(resource, "failed", reason=str(DamagedInstances(damaged)))


@dataclass
class _Target:
    """The folder that is exported to, and the names that are used up in it."""

    folder: Path
    form: Format
    straighten: bool
    smoothing: int
    _used: set[str] = field(default_factory=set)

    def refuse_existing(self, series: Iterable[PurePosixPath]) -> None:
        """Refuse a folder that has a file of one of these series, whatever format it is of.

        Raises
        ------
        InvalidInput
            Names the file.
        """
        for base in series:
            for there in _entries(self.folder / base.parent):
                stem = stem_of(there) if there.suffix != ".json" else there.stem
                if stem == base.name or stem.startswith(f"{base.name} ("):
                    raise InvalidInput(f"{there} is there already; export to another folder, or remove it.")

    def name(self, base: str, ending: str) -> str:
        """Return a name that this export has not used yet, also where A and a are the same."""
        stem, count = base, 1
        while self._used & (names := {f"{stem}{ending}".casefold(), f"{stem}.json".casefold()}):
            count += 1
            stem = f"{base} ({count})"
        self._used |= names
        return f"{stem}{ending}"

    def write(self, resource: Resource, name: str, make: Callable[[Path], _Written]) -> Exported:
        """Write one file below the folder; what prevents it becomes the reason of the outcome."""
        path = self.folder / name
        try:
            with disk_errors(f"Exporting to {self.folder}"):
                path.parent.mkdir(parents=True, exist_ok=True)
            size, remarks = make(path)
        except NoSpace:
            raise
        except EmptyResult as error:
            return Exported(resource, "empty", reason=str(error))
        except (GeometryError, InvalidInput, NotFound, ArchiveError) as error:
            return Exported(resource, "failed", reason=str(error))
        return Exported(resource, "written", name, size, remarks=remarks)

    def grid_of(self, geometry: VolumeGeometry) -> tuple[VolumeGeometry, tuple[str, ...]]:
        """Return the grid that is written, and what to say of it."""
        if not geometry.sheared:
            return geometry, ()
        return (straight_grid(geometry), (_STRAIGHTENED,)) if self.straighten else (geometry, (_SHEARED,))


def _images(items: Sequence[Item], target: _Target) -> Iterator[Exported]:
    series, base = items[0].series, str(items[0].name.parent)
    paths = [item.file for item in items]
    try:
        headers = headers_of(paths)
        plans = split_series(headers)
    except GeometryError as error:
        yield Exported(series, "failed", reason=str(error))
        return
    runs = in_files(plans) if target.form == "nifti" and not target.straighten else [[plan] for plan in plans]
    for at, run in enumerate(runs, 1):
        label = run[0].label if len(run) == 1 else ", ".join(starmap(words, shared_keys(run[0]).items()))
        several = f" {clean_name(f'({at}) {label}')}" if len(runs) > 1 else ""

        def make(path: Path, run: Sequence[VolumePlan] = run, label: str = label) -> _Written:
            sidecar = Sidecar(series, name=label, units=run[0].units, timing=timing_of(run[0], headers))
            if len(run) == 1:
                volume = fill(run[0].require_spatial(), paths, headers)
                return _write_volume(volume, path, sidecar, target)
            remarks = tuple(dict.fromkeys(remark for plan in run for remark in plan.remarks))
            remarks = (*remarks, *target.grid_of(run[0].geometry)[1], *undirected_remarks(run))
            volumes = (fill(plan, paths, headers) for plan in run)
            sidecar = replace(sidecar, remarks=remarks)
            return write_series(volumes, run, path, sidecar), remarks

        yield target.write(series, target.name(f"{base}{several}", _VOLUME[target.form]), make)


def _write_volume(volume: Volume, path: Path, sidecar: Sidecar, target: _Target) -> _Written:
    grid, remarks = target.grid_of(volume.geometry)
    if grid is not volume.geometry:
        volume = volume.straightened()
    remarks = (*volume.remarks, *remarks)
    return write_volume(volume, path, replace(sidecar, remarks=remarks)), remarks


def _objects(home: Home, items: Sequence[Item], target: _Target) -> Iterator[Exported]:
    for at, item in enumerate(items, 1):
        base = f"{item.name.parent}{f' ({at})' if len(items) > 1 else ''}"
        if target.form in MESH_ENDINGS:
            yield from _meshes(home, item, base, target)
        elif item.kind in ("segmentation", "structures"):

            def make_labels(path: Path, item: Item = item) -> _Written:
                found = read_segmentation(home, item.resource)
                _require_voxels(found)
                grid, remarks = target.grid_of(found.geometry)
                if grid is not found.geometry:
                    found = found.onto(grid)
                    remarks = ()  # the segmentation says itself that it was resampled
                without = _without_voxels(found.segments) if item.kind == "segmentation" else ()
                remarks = (*found.remarks, *without, *remarks)
                sidecar = replace(Sidecar.of(found, item.resource, found.images), remarks=remarks)
                return write_segmentation(found, path, sidecar), remarks

            yield target.write(item.resource, target.name(base, _SEGMENTATION[target.form]), make_labels)
        elif item.kind == "parametric map":

            def make_map(path: Path, item: Item = item) -> _Written:
                found = read_parametric_map(read(item.file))
                sidecar = Sidecar(item.resource, name=found.name, units=found.unit.meaning)
                return _write_volume(found.volume, path, sidecar, target)

            yield target.write(item.resource, target.name(base, _VOLUME[target.form]), make_map)
        else:
            yield Exported(item.resource, "passed over", reason=_NOTHING)


def _meshes(home: Home, item: Item, base: str, target: _Target) -> Iterator[Exported]:
    """Write the segments as meshes: STL, which knows no names, in a file each."""
    form = cast(MeshFormat, target.form)
    ending = MESH_ENDINGS[form]
    try:
        found = read_segmentation(home, item.resource)
        _require_voxels(found)
    except EmptyResult as error:
        yield Exported(item.resource, "empty", reason=str(error))
        return
    except (GeometryError, NotFound, ArchiveError) as error:
        yield Exported(item.resource, "failed", reason=str(error))
        return
    remarks = (*found.remarks, *_without_voxels(found.segments))
    meshes = found.meshes(target.smoothing)
    parts = [(base, meshes)]
    if form == "stl" and len(found.segments) > 1:
        parts = [(f"{base} {clean_name(f'({at}) {one.label}')}", [one]) for at, one in enumerate(meshes, 1)]
    for name, part in parts:

        def make(path: Path, part: Sequence[Mesh] = part) -> _Written:
            return write_meshes(part, path, form), remarks

        yield target.write(item.resource, target.name(name, ending), make)


def _require_voxels(found: Segmentation) -> None:
    found.require_spatial()
    if not any(one.mask.array.size for one in found.segments):
        raise EmptyResult(" ".join((_EMPTY, *found.remarks)))


def _entries(folder: Path) -> list[Path]:
    try:
        return [one for one in sorted(folder.iterdir()) if one.name.endswith((".json", *_ENDINGS))]
    except OSError:
        return []


def _without_voxels(segments: Sequence[Segment]) -> tuple[str, ...]:
    names = [one.label for one in segments if not one.mask.array.size]
    if not names:
        return ()
    verb = "has" if len(names) == 1 else "have"
    return (f"{', '.join(names)} {verb} no voxels.",)
