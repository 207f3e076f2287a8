"""``import`` and ``export``: files and folders, into the archive and out of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import deidentification, images, sources
from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.formatting import counted, size
from dicomdock.cli.output import Console, examples
from dicomdock.errors import DamagedInstances, InvalidInput

if TYPE_CHECKING:
    from dicomdock.archive.export import Exported
    from dicomdock.archive.import_progress import ImportProgress
    from dicomdock.deidentify import Deidentifier
    from dicomdock.sources import JsonValue
    from dicomdock.transfer import Progress

commands = typer.Typer()
IMAGES = "NIfTI and NRRD"


@commands.command(
    "import",
    epilog=examples(
        "dicomdock import /media/cdrom",
        "dicomdock import scan1.dcm scan2.dcm",
        "dicomdock import labels.nii.gz --segments-of 1.2.840.1/1.2.840.2 --label 1=liver --label 2=tumour",
        "dicomdock import labels.nii.gz --structures-of 1.2.840.1/1.2.840.2 --label 1=heart",
        "dicomdock import smoothed.nii.gz --derived-from 1.2.840.1/1.2.840.2 --description 'Smoothed 2 mm'",
    ),
)
def import_files(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files, or folders to search for files.", show_default=False),
    ],
    origin: Annotated[
        str, typer.Option(metavar="NAME", help="The server that they came from, if known.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace instances of the same UID whose bytes differ.")
    ] = False,
    segments_of: Annotated[
        str,
        typer.Option(
            metavar="SERIES",
            help="PATH is a NIfTI or NRRD label map drawn on this series; store it as DICOM SEG.",
            rich_help_panel=IMAGES,
        ),
    ] = "",
    structures_of: Annotated[
        str,
        typer.Option(
            metavar="SERIES",
            help="The same, stored as RT Structure Set; short for --segments-of with --kind structures.",
            rich_help_panel=IMAGES,
        ),
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE=NAME",
            help="The name of a value, VALUE=NAME; can be given again.",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    resample: Annotated[
        bool,
        typer.Option(
            "--resample", help="Use the nearest voxels where the grids differ.", rich_help_panel=IMAGES
        ),
    ] = False,
    kind: Annotated[
        images.Kind,
        typer.Option(
            help="How segments are stored: DICOM SEG (every program reads binary), or an RT Structure Set.",
            rich_help_panel=IMAGES,
        ),
    ] = images.Kind.binary,
    derived_from: Annotated[
        str,
        typer.Option(
            metavar="SERIES",
            help="PATH is a NIfTI or NRRD volume made of this series; store it as a derived series.",
            rich_help_panel=IMAGES,
        ),
    ] = "",
    description: Annotated[
        str,
        typer.Option(metavar="WORDS", help="Series Description of the new series.", rich_help_panel=IMAGES),
    ] = "",
) -> None:
    """Store DICOM files in the archive; other files are skipped, broken ones are reported.

    Zip and gzip files are unpacked, and a DICOMDIR stands for the files that it names.

    A label map written by 'export --format' names its series, and needs no option.
    """
    console: Console = context.obj
    if structures_of:
        if segments_of:
            raise InvalidInput("--segments-of and --structures-of name the same series; use one of them.")
        segments_of, kind = structures_of, images.Kind.structures
    if segments_of or derived_from or any(map(images.is_image_file, paths)):
        if len(paths) != 1 or (segments_of and derived_from):
            raise InvalidInput("One NIfTI or NRRD file is imported at a time, as segments or as derived.")
        if derived_from and (label or resample):
            raise InvalidInput("A derived volume has no labels, and is taken on its own grid.")
        if derived_from:
            images.import_derived(console, paths[0], derived_from, description)
        else:
            images.import_segmentation(
                console, paths[0], segments_of, label or (), description, kind, resample=resample
            )
        return
    if label or resample or description:
        raise InvalidInput(
            "That is for NIfTI and NRRD files: name one, with --segments-of or --derived-from."
        )
    _import_dicom(console, paths, origin, replace=replace)


def _import_dicom(console: Console, paths: Sequence[Path], origin: str, *, replace: bool) -> None:
    with sources.archive(console) as archive:
        report = console.follow(
            _import(archive.import_paths(paths, origin=origin, replace=replace)), "import"
        )
    console.result(
        {
            "files": report.files,
            "instances": {
                "stored": report.stored,
                "identical": report.identical,
                "conflicts": report.conflicts,
                "failed": len(report.failed),
            },
            "skipped": report.skipped,
            "dicomdirs": report.directories,
            "bytes": report.bytes,
            "studies": [*sorted(report.studies)],
            "failures": [{"path": str(item.path), "reason": item.reason} for item in report.failed],
            "conflicting": [str(path) for path in report.conflicting],
            "remarks": [{"path": str(item.path), "remark": item.reason} for item in report.remarks],
        }
    )
    console.print(
        f"{counted(report.stored, 'instance')} ({size(report.bytes)}) of"
        f" {counted(len(report.studies), 'study', 'studies')} stored; {report.identical} were here already,"
        f" {counted(report.skipped, 'file')} passed over."
    )
    for failure in report.failed:
        console.note(f"{failure.path}: {failure.reason}")
    for remark in report.remarks:
        console.note(f"{remark.path}: {remark.reason}")
    for path in report.conflicting:
        console.note(f"{path}: the archive has this UID with other bytes; --replace takes these.")
    if report.failed or report.conflicts:
        raise typer.Exit(PARTLY if report.stored or report.identical else FAILED)


def _import(steps: Iterator[ImportProgress]) -> Generator[Progress, None, ImportProgress]:
    """Show an import as a transfer; its last step is the report."""
    from dicomdock.transfer import Progress

    start = time.perf_counter()
    step: ImportProgress | None = None
    for step in steps:
        failed = len(step.failed) + step.conflicts
        yield Progress(step.files, None, failed, step.bytes, time.perf_counter() - start, "reading")
    assert step is not None
    return step


@commands.command(
    epilog=examples(
        "dicomdock export 1.2.840.1 ./out",
        "dicomdock export 1.2.840.1 ./study.zip --zip",
        "dicomdock export PatientID=4711 ./out",
        "dicomdock export 1.2.840.1 ./out --format nifti",
        "dicomdock export 1.2.840.1/1.2.840.9 ./out --format stl",
        "dicomdock export 1.2.840.1 ./out --deidentify basic,retain-modified-dates",
    )
)
def export(
    context: typer.Context,
    resources: Annotated[
        list[str],
        typer.Argument(
            metavar="RESOURCE|KEY=VALUE",
            help="STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE; or KEY=VALUE to select what matches.",
        ),
    ],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The folder to write to; with --zip, the file.", show_default=False
        ),
    ],
    zip_file: Annotated[bool, typer.Option("--zip", help="Write one zip file.")] = False,
    form: Annotated[
        images.Format,
        typer.Option(
            "--format",
            help="DICOM byte for byte; volumes and segmentations as NIfTI or NRRD; segments as meshes"
            " (stl, obj, gltf) in mm, LPS.",
        ),
    ] = images.Format.dicom,
    straighten: Annotated[
        bool,
        typer.Option(
            "--straighten",
            help="Resample volumes of a tilted gantry onto perpendicular axes, which ITK needs.",
            rich_help_panel=IMAGES,
        ),
    ] = False,
    smoothing: Annotated[
        int,
        typer.Option(
            min=0,
            max=200,
            metavar="ROUNDS",
            help="Smoothing of meshes; 0 for the exact surface of the voxels.",
            rich_help_panel=IMAGES,
        ),
    ] = images.SMOOTHING,
    deidentify: deidentification.ProfileOption = "",
    key_file: deidentification.KeyFile = None,
    blank: deidentification.Blank = None,
) -> None:
    """Copy instances from the archive, byte for byte, to folders with readable names.

    With --format, write volumes, segmentations or meshes for other programs.
    """
    console: Console = context.obj
    deidentifier = deidentification.deidentifier_of(console.settings, deidentify, key_file, blank)
    if deidentifier is not None and form is not images.Format.dicom:
        raise InvalidInput("De-identified copies are written as DICOM only.")
    if form is not images.Format.dicom:
        if zip_file:
            raise InvalidInput("One zip file is written of DICOM only.")
        images.export(console, resources, folder, form, straighten=straighten, smoothing=smoothing)
        return
    if smoothing != images.SMOOTHING:
        raise InvalidInput("DICOM is exported byte for byte; --smoothing is for meshes.")
    if straighten:
        raise InvalidInput("DICOM is exported byte for byte; --straighten is for NIfTI and NRRD.")
    if deidentifier is not None:
        _export_deidentified(console, resources, folder, deidentifier, zip_file=zip_file)
        return
    with sources.archive(console) as archive:
        wanted = sources.resources(resources, archive)
        report, damaged = console.follow(_export(archive.export(wanted, folder, zip=zip_file)), "export")
    facts: dict[str, JsonValue] = {"folder": str(folder), "instances": report.done, "bytes": report.bytes}
    console.result({**facts, **_damaged(damaged)})
    console.print(f"{counted(report.done, 'instance')} ({size(report.bytes)}) in {folder}")
    _end(console, report, damaged)


def _export_deidentified(
    console: Console, words: list[str], folder: Path, deidentifier: Deidentifier, *, zip_file: bool
) -> None:
    from dicomdock.deidentify import Report

    done = Report(deidentifier.profile)
    with sources.archive(console) as archive:
        wanted = sources.resources(words, archive)
        steps = archive.export_deidentified(wanted, folder, deidentifier, done, zip=zip_file)
        report, damaged = console.follow(_export(steps), "export")
    console.result(
        {
            "folder": str(folder),
            "instances": done.instances,
            "bytes": report.bytes,
            "deidentification": done.to_json(),
            **_damaged(damaged),
        }
    )
    copies = counted(done.instances, "de-identified instance")
    console.print(f"{copies} ({size(report.bytes)}) in {folder}")
    deidentification.show(console, done)
    _end(console, report, damaged)


def _export(
    steps: Iterator[Exported],
) -> Generator[Progress, None, tuple[Progress, DamagedInstances | None]]:
    """Show an export as a transfer; the result is its end, and which instances were damaged."""
    from dicomdock.transfer import Progress

    start = time.perf_counter()
    moved = Progress()
    number = 0
    try:
        for number, step in enumerate(steps, 1):
            seconds = time.perf_counter() - start
            moved = Progress(number, step.total, 0, moved.bytes + step.size, seconds, "copying")
            yield moved
    except DamagedInstances as damaged:
        return moved, damaged
    return moved, None


def _damaged(error: DamagedInstances | None) -> dict[str, JsonValue]:
    """Return what the JSON document says of damaged instances: nothing where there are none."""
    return {} if error is None else {"damaged": [*error.instances]}


def _end(console: Console, report: Progress, error: DamagedInstances | None) -> None:
    """Name the damaged instances and end with their exit code."""
    if error is not None:
        console.note(*(f"{one}: its file is damaged or missing." for one in error.instances), error.remedy)
        raise typer.Exit(PARTLY if report.done else FAILED)
