"""Importing what other programs made of images: label maps and derived volumes, into the images' study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.api.files import note_of, on_grid, read_labels, stem_of
from dicomdock.api.segmentation import Kind, Segmentation
from dicomdock.api.sidecar import read_note
from dicomdock.api.volume import Volume, grids
from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.formats.nifti import UNPLACED

if TYPE_CHECKING:
    from dicomdock.api.archive import Archive


def import_segmentation(
    archive: Archive,
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
        note = read_note(note_of(path))
        if note is None or note.images is None:
            raise InvalidInput(
                f"Nothing beside {path} says which series it was drawn on; name it, on the command line with"
                " --segments-of."
            )
        images = note.images
    found = grids(archive, images)
    if not any(plan.spatial for _, plan in found):
        found[0][1].require_spatial()
    volumes = [volume for volume, plan in found if plan.spatial]
    placed = on_grid(labels, volumes, path, resample=resample)
    named = replace(placed, name=name or placed.name or stem_of(path))
    made = Segmentation.of(named, images, archive)
    made.save(kind=kind)
    return made


def import_derived(archive: Archive, path: Path, images: Resource, description: str) -> Volume:
    """Store a volume as a derived series of its images; see ``Archive.import_derived``."""
    found = Volume.from_file(path)
    if UNPLACED in found.remarks:
        raise GeometryError(f"{path} does not say how it lies in the patient; write it with its geometry.")
    grid = grids(archive, images)[0][0]
    made = Volume.of(found.turned(grid.geometry), images, archive)
    made = replace(made, frame_of_reference=grid.frame_of_reference, windows=grid.windows)
    made.save(description or stem_of(path))
    return made
