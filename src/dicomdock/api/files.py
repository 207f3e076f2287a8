"""NIfTI and NRRD files: their names, what is in them, and the sidecar beside each; meshes of segments."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from dicomdock.api.sidecar import Sidecar, read_sidecar
from dicomdock.archive.export import clean_name
from dicomdock.archive.storage.local import appearing, disk_errors
from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.formats.meshes import to_glb, to_mtl, to_obj, to_stl
from dicomdock.imaging.formats.nifti import (
    UNPLACED,
    attached,
    gradients_to_text,
    segmentation_from_nifti,
    segmentation_to_nifti,
    series_to_nifti,
    volume_to_nifti,
    volumes_from_nifti,
)
from dicomdock.imaging.formats.nrrd import (
    segmentation_from_nrrd,
    segmentation_to_nrrd,
    volume_from_nrrd,
    volume_to_nrrd,
)
from dicomdock.imaging.geometry import VolumeGeometry, VolumePlan
from dicomdock.imaging.mesh import Mesh
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.volume import Volume

Format = Literal["nifti", "nrrd"]
MeshFormat = Literal["stl", "obj", "gltf"]

MESH_ENDINGS: Mapping[MeshFormat, str] = {"stl": ".stl", "obj": ".obj", "gltf": ".glb"}

_ENDINGS: Mapping[str, Format] = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".seg.nrrd": "nrrd",
    ".nrrd": "nrrd",
}


def format_of(path: Path) -> Format:
    """Return the format of a file by its name.

    Raises
    ------
    InvalidInput
        It is neither NIfTI nor NRRD.
    """
    for ending, kind in _ENDINGS.items():
        if path.name.lower().endswith(ending):
            return kind
    raise InvalidInput(f"{path} is named neither .nii.gz or .nii (NIfTI) nor .nrrd (NRRD).")


def stem_of(path: Path) -> str:
    """Return a file's name without the ending of its format."""
    for ending in _ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


def read_volumes(path: Path) -> list[Volume]:
    """Read the volumes of a file: one, or in NIfTI one for each time point."""
    kind = format_of(path)
    data = _bytes_of(path)
    return volumes_from_nifti(data) if kind == "nifti" else [volume_from_nrrd(data)]


def read_labels(path: Path, names: Mapping[int, str]) -> Segmentation:
    """Read a label map on its own grid.

    Parameters
    ----------
    names : of the segments by value; where one is missing, what the sidecar beside the file says.

    Raises
    ------
    InvalidInput
        No voxel has a value that was named.
    GeometryError
        It is not a label map.
    """
    sidecar = read_sidecar(sidecar_of(path)) or Sidecar()
    known = {value: segment.label for value, segment in sidecar.segments.items()}
    from_file = segmentation_from_nifti if format_of(path) == "nifti" else segmentation_from_nrrd
    found = from_file(_bytes_of(path), names={**known, **names}, name=sidecar.name)
    labels = {segment.label for segment in found.segments}
    for value, name in names.items():
        if name not in labels:
            raise InvalidInput(
                f"{path} has no voxels of value {value} to call {name!r}, or names its segments itself."
            )
    described = {segment.label: segment for segment in sidecar.segments.values()}
    segments = tuple(
        replace(one, terminology=description.terminology, colour=description.colour)
        if (description := described.get(one.label)) is not None
        else one
        for one in found.segments
    )
    return replace(found, segments=segments)


def on_grid(found: Segmentation, volumes: Sequence[Volume], path: Path, *, resample: bool) -> Segmentation:
    """Put a label map on the grid of its images.

    Parameters
    ----------
    volumes : of the series; the first one whose voxels are the label map's is taken.
    path : named in errors.
    resample : take the nearest voxels of the first volume where none fits.

    Raises
    ------
    GeometryError
        The file does not say where it lies, or its segments are not voxels of any volume.
    """
    if UNPLACED in found.remarks:
        raise GeometryError(
            f"{path} does not say how it lies in the patient, so its voxels may not be those of the images."
        )
    fitting = [volume for volume in volumes if found.fits(volume.geometry)]
    if not fitting and not resample:
        raise GeometryError(
            f"{path} lies on another grid ({_words(found.geometry)}) than the images, or reaches out of it"
            f" ({_words(volumes[0].geometry)}); to take the nearest voxels all the same, ask to resample."
        )
    return attached(found, (fitting or volumes)[0])


def write_volume(volume: Volume, path: Path, sidecar: Sidecar | None = None) -> int:
    """Write a volume, and a sidecar beside it where one is given; give the bytes of the file.

    Raises
    ------
    GeometryError
        The volume has no place in the patient.
    """
    form = format_of(path)
    if not volume.spatial:
        problem = volume.plan.problem if volume.plan else None
        raise problem or GeometryError("The images state no position in the patient, so they form no volume.")
    if form == "nifti":
        return _write(path, volume_to_nifti(volume, compress=_packed(path)), sidecar)
    return _write(path, volume_to_nrrd(volume), sidecar)


def write_series(volumes: Iterable[Volume], plans: Sequence[VolumePlan], path: Path, sidecar: Sidecar) -> int:
    """Write the time points of a series as one NIfTI file, with ``.bval`` and ``.bvec``; return its bytes."""
    step = sidecar.timing.get("RepetitionTime", 0.0)
    data = series_to_nifti(
        volumes, len(plans), step=step if isinstance(step, float) else 0.0, compress=_packed(path)
    )
    gradients = gradients_to_text(plans)
    if gradients is not None:
        for ending, content in zip((".bval", ".bvec"), gradients, strict=True):
            _write(path.with_name(f"{stem_of(path)}{ending}"), content.encode(), None)
    return _write(path, data, sidecar)


def write_segmentation(segmentation: Segmentation, path: Path, sidecar: Sidecar | None = None) -> int:
    """Write a segmentation, and a sidecar beside it where one is given; give the bytes of the file.

    Raises
    ------
    GeometryError
        Segments overlap, which NIfTI cannot hold.
    """
    if format_of(path) == "nifti":
        return _write(path, segmentation_to_nifti(segmentation, compress=_packed(path)), sidecar)
    return _write(path, segmentation_to_nrrd(segmentation), sidecar)


def mesh_format_of(path: Path) -> MeshFormat | None:
    """Return the format of meshes that a file's name says; None for none."""
    return next((form for form, ending in MESH_ENDINGS.items() if path.name.lower().endswith(ending)), None)


def write_meshes(meshes: Sequence[Mesh], path: Path, form: MeshFormat) -> int:
    """Write meshes to one file, and the colours of an OBJ beside it; give the bytes of the file."""
    if form == "stl":
        return _write(path, to_stl(meshes), None)
    if form == "gltf":
        return _write(path, to_glb(meshes), None)
    colours = path.with_name(f"{path.name[:-4]}.mtl")
    _write(colours, to_mtl(meshes).encode(), None)
    return _write(path, to_obj(meshes, colours.name).encode(), None)


def mesh_archive(meshes: Sequence[Mesh], form: MeshFormat) -> tuple[str, bytes]:
    """Return the name and the bytes of one file with all meshes: a zip file of STL and OBJ."""
    if form == "gltf":
        return "segments.glb", to_glb(meshes)
    parts: dict[str, bytes] = {}
    if form == "stl":
        for number, mesh in enumerate(meshes, 1):
            parts[clean_name(f"{number} {mesh.label}") + ".stl"] = to_stl([mesh])
    else:
        parts["segments.obj"] = to_obj(meshes, "segments.mtl").encode()
        parts["segments.mtl"] = to_mtl(meshes).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    return f"segments-{form}.zip", file.getvalue()


def sidecar_of(path: Path) -> Path:
    """Return the name of the sidecar beside a file: ``liver.json`` beside ``liver.nii.gz``."""
    return path.with_name(f"{stem_of(path)}.json")


def _packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _write(path: Path, data: bytes, sidecar: Sidecar | None) -> int:
    """Write files so that they are whole or not there."""
    contents = {path: data}
    if sidecar is not None:
        contents[sidecar_of(path)] = sidecar.to_json().encode("utf-8", "replace")
    for target, content in contents.items():
        with (
            disk_errors(f"Writing {target}"),
            appearing(target) as unfinished,
            unfinished.open("xb") as file,
        ):
            file.write(content)
    return len(data)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error


def _words(geometry: VolumeGeometry) -> str:
    size = " x ".join(map(str, geometry.shape))
    spacing = " x ".join(f"{value:.4g}" for value in geometry.spacing)
    origin = ", ".join(f"{value:.1f}" for value in geometry.origin)
    return f"{size} voxels of {spacing} mm from ({origin})"
