"""Importing what other programs made of images: label maps and derived volumes, into the images' study."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Self

from dicomdock import archive
from dicomdock.api.files import on_grid, read_labels, sidecar_of, stem_of
from dicomdock.api.home import Home
from dicomdock.api.segmentation import Kind, Segmentation
from dicomdock.api.sidecar import read_sidecar
from dicomdock.api.volume import Volume, grids
from dicomdock.archive.import_progress import ImportProgress
from dicomdock.dicom.resource import Resource
from dicomdock.errors import EmptyResult, GeometryError, InvalidInput
from dicomdock.imaging.formats.nifti import UNPLACED


class ImportReport(ImportProgress):
    """What became of the files of an import.

    Unpacking or iterating gives the report itself, since the steps of an import end with it.
    """

    def __iter__(self) -> Iterator[Self]:
        yield self


def import_paths(
    local: archive.Archive, paths: Sequence[Path], *, origin: str, replace: bool
) -> ImportReport:
    """Import DICOM files and folders; see ``Archive.import_paths``."""
    (step,) = deque(local.import_paths(paths, origin=origin, replace=replace), maxlen=1)
    return ImportReport(**{one.name: getattr(step, one.name) for one in fields(ImportProgress)})


def import_segmentation(
    home: Home,
    path: Path,
    images: Resource | None,
    *,
    names: Mapping[int, str],
    name: str,
    resample: bool,
    kind: Kind,
) -> Segmentation:
    """Store a label map as a segmentation of its images; see ``Archive.import_segmentation``."""
    labels = read_labels(path, names)
    if images is None:
        sidecar = read_sidecar(sidecar_of(path))
        if sidecar is None or sidecar.images is None:
            raise InvalidInput(
                f"Nothing beside {path} says which series it was drawn on; name it, on the command line with"
                " --segments-of."
            )
        images = sidecar.images
    found = grids(home, images)
    if not any(plan.spatial for _, plan in found):
        found[0][1].require_spatial()
    volumes = [volume for volume, plan in found if plan.spatial]
    placed = on_grid(labels, volumes, path, resample=resample)
    if not any(one.mask.array.size for one in placed.segments):
        raise EmptyResult(f"No voxel of {path} lies in the images of {images}; nothing was stored.")
    named = replace(placed, name=name or placed.name or stem_of(path))
    made = Segmentation.of(named, images, home)
    made.save(kind=kind)
    return made


def import_derived(home: Home, path: Path, images: Resource, description: str) -> Volume:
    """Store a volume as a derived series of its images; see ``Archive.import_derived``."""
    found = Volume.from_file(path)
    if UNPLACED in found.remarks:
        raise GeometryError(f"{path} does not say how it lies in the patient; write it with its geometry.")
    grid = grids(home, images)[0][0]
    made = Volume.of(found.turned(grid.geometry), images, home)
    made = replace(made, frame_of_reference=grid.frame_of_reference, windows=grid.windows)
    made.save(description or stem_of(path))
    return made
