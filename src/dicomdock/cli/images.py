"""What ``import`` and ``export`` do with NIfTI and NRRD: volumes and segmentations instead of instances."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from dicomdock.cli import sources
from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.formatting import counted, size
from dicomdock.cli.output import Console
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.api.archive import Archive
    from dicomdock.api.export import Exported
    from dicomdock.sources import JsonValue
    from dicomdock.transfer import Progress

SMOOTHING = 20  # rounds; that of ``imaging.mesh``, which is slow to import
ENDINGS = (".nii", ".nii.gz", ".nrrd")


class Format(StrEnum):
    """What ``export`` writes."""

    dicom = "dicom"
    nifti = "nifti"
    nrrd = "nrrd"
    stl = "stl"
    obj = "obj"
    gltf = "gltf"


class Kind(StrEnum):
    """How a segmentation is stored."""

    binary = "binary"
    labelmap = "labelmap"
    structures = "structures"


_FORMATS: Mapping[Format, Literal["nifti", "nrrd", "stl", "obj", "gltf"]] = {
    Format.nifti: "nifti",
    Format.nrrd: "nrrd",
    Format.stl: "stl",
    Format.obj: "obj",
    Format.gltf: "gltf",
}
_KINDS: Mapping[Kind, Literal["BINARY", "LABELMAP", "STRUCTURES"]] = {
    Kind.binary: "BINARY",
    Kind.labelmap: "LABELMAP",
    Kind.structures: "STRUCTURES",
}


def export(
    console: Console,
    words: Sequence[str],
    folder: Path,
    form: Format,
    *,
    straighten: bool = False,
    smoothing: int = SMOOTHING,
) -> None:
    """Write volumes and segmentations of the archive as files of another format."""
    from dicomdock.api.export import export_as

    with _open(console) as archive:
        wanted = sources.resources(words, archive)
        steps = export_as(archive.local, archive, wanted, folder, _FORMATS[form], straighten, smoothing)
        outcomes = console.follow(_export(steps), "export")
    written = [one for one in outcomes if one.status == "written"]
    failed = [one for one in outcomes if one.status in ("failed", "empty")]
    passed = [one for one in outcomes if one.status == "passed over"]
    console.result(
        {
            "folder": str(folder),
            "files": [
                {
                    "resource": str(one.resource),
                    "path": one.path,
                    "bytes": one.size,
                    "remarks": [*one.remarks],
                }
                for one in written
            ],
            "failures": [{"resource": str(one.resource), "reason": one.reason} for one in failed],
            "passed_over": [{"resource": str(one.resource), "reason": one.reason} for one in passed],
        }
    )
    console.print(*(one.path for one in written))
    console.print(f"{counted(len(written), 'file')} ({size(sum(one.size for one in written))}) in {folder}")
    for one in written:
        console.note(*(f"{one.path}: {remark}" for remark in one.remarks))
    for one in (*failed, *passed):
        console.note(f"{one.resource} {one.status}: {one.reason}")
    if failed or not written:
        partly = written or any(one.status == "empty" for one in failed)
        raise typer.Exit(PARTLY if partly else FAILED)


def _export(steps: Iterator[Exported]) -> Generator[Progress, None, list[Exported]]:
    from dicomdock.transfer import Progress

    start = time.perf_counter()
    outcomes: list[Exported] = []
    moved = failed = 0
    for one in steps:
        outcomes.append(one)
        moved, failed = moved + one.size, failed + (one.status in ("failed", "empty"))
        yield Progress(one.done, one.total, failed, moved, time.perf_counter() - start, "writing")
    return outcomes


def import_segmentation(
    console: Console,
    path: Path,
    images: str,
    labels: Sequence[str],
    description: str,
    kind: Kind,
    *,
    resample: bool,
) -> None:
    """Store a label map as a segmentation of a series."""
    names = _names(labels)
    with _open(console) as archive:
        made = archive.import_segmentation(
            path,
            _series(images, archive) if images else None,
            names=names,
            name=description,
            resample=resample,
            kind=_KINDS[kind],
        )
        place = made.save(kind=_KINDS[kind])
    segments: list[JsonValue] = [{"label": one.label, "voxels": one.mask.count} for one in made.segments]
    console.result({"resource": str(place), "segments": segments, "remarks": [*made.remarks]})
    console.print(f"{counted(len(segments), 'segment')} of {made.images} stored:")
    console.print(*(f"  {one.label}: {one.mask.count:,} voxels" for one in made.segments))
    console.print(f"  {place}")
    console.note(*made.remarks)


def import_derived(console: Console, path: Path, images: str, description: str) -> None:
    """Store a volume as a derived series of another."""
    with _open(console) as archive:
        made = archive.import_derived(path, _series(images, archive), description=description)
        place = made.save()
        count = len(archive.instances(place))
    console.result({"resource": str(place), "instances": count})
    console.print(f"{counted(count, 'derived image')} of {made.series} stored:", f"  {place}")


def is_image_file(path: Path) -> bool:
    """Return whether a file's name says NIfTI or NRRD."""
    return path.name.lower().endswith(ENDINGS)


def _open(console: Console) -> Archive:
    from dicomdock.api.archive import Archive

    return Archive.open(console.settings)


def _series(word: str, archive: Archive) -> Resource:
    found = sources.resources(word.split(), archive)
    if len(found) != 1 or found[0].level != "series":
        raise InvalidInput(
            f"{word!r} names {counted(len(found), found[0].level, found[0].level)}, not one series: give"
            " STUDY/SERIES, or KEY=VALUE words in quotes that match just one."
        )
    return found[0]


def _names(words: Sequence[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for word in words:
        value, equals, name = word.partition("=")
        if not equals or not name.strip() or not value.strip().isdecimal() or int(value) < 1:
            raise InvalidInput(f"{word!r} is not VALUE=NAME, such as 1=liver.")
        if int(value) in names:
            raise InvalidInput(f"The value {value} is named twice.")
        names[int(value)] = name.strip()
    return names
