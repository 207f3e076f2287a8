"""Run a tool on a series of the archive: hand it the images, and check what it made of them."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from dicomdock.api import instances as reading
from dicomdock.api import tool_points
from dicomdock.api.files import write_volume
from dicomdock.api.home import Home
from dicomdock.api.segmentation import Segmentation, read
from dicomdock.api.tool_points import LabelledPoint
from dicomdock.api.volume import Volume, fill, plan_named
from dicomdock.archive.storage.local import disk_errors
from dicomdock.config.settings import Settings
from dicomdock.config.tools import INPUT, OUTPUT, CodeText, Label, Tool
from dicomdock.dicom.resource import Resource
from dicomdock.errors import EmptyResult, GeometryError, InvalidInput, ToolError, UnreadableFile
from dicomdock.imaging import segmentation as imaging
from dicomdock.imaging import volume as imaging_volume
from dicomdock.imaging.authoring import Contributor
from dicomdock.imaging.formats.nifti import UNPLACED, masks_from_nifti, segmentation_to_nifti
from dicomdock.imaging.geometry import VolumeGeometry, split_series
from dicomdock.imaging.segmentation import Mask, Segment, read_segmentation, segmentation_to_dicom
from dicomdock.imaging.terminology import Code, Terminology, colour_for
from dicomdock.tools.command import run_command
from dicomdock.tools.service import post, require_allowed
from dicomdock.tools.step import Run, Step

SHOWN = 5  # values or names that an error lists
_DICM = slice(128, 132)


@dataclass(frozen=True)
class Job:
    """One run of a tool.

    Parameters
    ----------
    tool : what is run.
    settings : of the user, with secrets and what pixels may be sent to.
    volume : name of the volume, where the series holds several.
    cancelled : set by another thread to end it.
    points : for a model that takes them.
    operator : who runs it, the Content Creator of the draft; empty for nobody, as in a batch.
    own_group : False in a process whose group is killed as a whole.
    """

    tool: Tool
    settings: Settings
    volume: str | None = None
    cancelled: threading.Event | None = None
    own_group: bool = True
    points: Sequence[LabelledPoint] = ()
    operator: str = ""


def run_on_series(home: Home, job: Job, series: Resource) -> Generator[Step, None, Segmentation]:
    """Run a tool on a series; yield what it says and return its segmentation, which is not stored yet.

    Raises
    ------
    ToolError, TimedOut, Cancelled
        It failed, gave what cannot be used, took too long, or was cancelled.
    InvalidInput
        The points are not those that the tool takes.
    GeometryError
        The series forms no volume with a position in the patient, or the labels are not on its grid.
    ProfileError, Unreachable, TransactionError, AuthenticationError
        Of a tool that is a service.
    """
    tool = job.tool
    tool_points.check(tool, job.points)
    if tool.origin is not None:
        require_allowed(job.settings, tool.origin, f"The tool {tool.name}")
    run = Run(tool.name, tool.timeout, job.cancelled or threading.Event())
    yield run.step("preparing the images")
    paths = reading.paths_of(home, series)
    headers = reading.headers_of(paths)
    plan = plan_named(split_series(headers), series, job.volume)
    plan.require_spatial()
    outline = Volume.of(imaging_volume.outline(plan), series, home)
    with tempfile.TemporaryDirectory(prefix="dicomdock-tool-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        sent = outline.geometry
        with disk_errors(f"Writing the images for the tool {tool.name}"):
            if tool.input == "nifti":
                full = Volume.of(fill(plan, paths, headers), series, home).straightened()
                sent, given = full.geometry, folder / "input.nii.gz"
                write_volume(full, given)
                del full
            else:
                given = folder / "input"
                _copy(paths, given)
        run.check()
        data = yield from _answer(job, run, folder, given, sent)
        run.check()
        yield run.step("reading the answer")
        return replace(_segmentation(tool, data, outline, sent), creator=job.operator)


def _answer(
    job: Job, run: Run, folder: Path, given: Path, sent: VolumeGeometry
) -> Generator[Step, None, bytes]:
    tool = job.tool
    if tool.monai_label:
        from dicomdock.tools.monai_label import infer

        labels: bytes = yield from infer(
            tool, job.settings, given, run, tool_points.parameters(tool, job.points, sent)
        )
        return labels
    if tool.endpoint:
        if given.is_dir():
            given = _zipped(given)
        media_type = "application/zip" if tool.input == "dicom" else "application/gzip"
        answer: bytes = yield from post(tool, job.settings, given, media_type, run)
        return answer
    work = folder / "work"
    work.mkdir()
    output = work / ("output.dcm" if tool.output == "seg" else "output.nii.gz")
    command = [
        word if at == 0 else word.replace(INPUT, str(given)).replace(OUTPUT, str(output))
        for at, word in enumerate(tool.command)
    ]
    yield from run_command(
        command, work, run, most=tool.max_output, environment=tool.environment, own_group=job.own_group
    )
    return _output(tool, work, output)


def _output(tool: Tool, work: Path, output: Path) -> bytes:
    """Return what a program wrote; an unpacked NIfTI file will do, and one DICOM file in a folder."""
    # A link leads to what it did not make, such as a segmentation of another series that it found.
    inside = sorted(output.glob("*.dcm")) if output.is_dir() and not output.is_symlink() else []
    found = [output, output.with_name("output.nii"), *inside]
    files = [one for one in found if one.is_file() and not one.is_symlink()]
    if not files:
        there = ", ".join(sorted(one.name for one in work.iterdir())[:SHOWN]) or "nothing"
        raise ToolError(
            f"The tool {tool.name} ended without writing {OUTPUT}; it wrote {there}. Nothing was stored."
        )
    with disk_errors(f"Reading what the tool {tool.name} wrote"):
        data = files[0].read_bytes()
    if not data:
        raise ToolError(f"The tool {tool.name} wrote an empty file; nothing was stored.")
    return data


def _segmentation(tool: Tool, data: bytes, volume: Volume, sent: VolumeGeometry) -> Segmentation:
    """Return what a tool gave as a draft on the grid of its images.

    Parameters
    ----------
    sent : the grid that the tool saw: that of the images, or their straightened volume's.
    """
    read_as = _from_seg if tool.output == "seg" else _from_labels
    try:
        found = read_as(tool, data, volume, sent)
    except UnreadableFile as error:
        raise ToolError(
            f"What the tool {tool.name} gave cannot be read: {error} Nothing was stored."
        ) from error
    if not any(one.mask.array.size for one in found.segments):
        raise EmptyResult(f"The tool {tool.name} found nothing in {volume.series}; nothing was stored.")
    now = datetime.now().strftime("%Y%m%d%H%M%S")
    what = tool.description or f"Made by the tool {tool.name}"
    model = f"{tool.name} {tool.model}".strip()
    contributor = Contributor(tool.manufacturer, model, tool.version, what, now)
    draft = replace(
        found,
        name=tool.name,
        draft=True,
        contributors=(contributor,),
        frame_of_reference=volume.frame_of_reference,
        source_frames=tuple(one for one in volume.sources if one is not None),
        origin=None,
    )
    return Segmentation.of(draft, volume.series, volume.archive)


def _from_labels(tool: Tool, data: bytes, volume: Volume, sent: VolumeGeometry) -> imaging.Segmentation:
    masks, geometry, remarks = masks_from_nifti(data)
    if UNPLACED in remarks:
        raise ToolError(
            f"The labels of the tool {tool.name} do not say how they lie in the patient; nothing was stored."
        )
    _check_grid(tool, geometry, sent)
    unknown = [value for value in masks if value not in tool.named]
    if unknown:
        shown = ", ".join(map(str, unknown[:SHOWN])) + (", …" if len(unknown) > SHOWN else "")
        raise ToolError(
            f"The tool {tool.name} gave values that its declaration does not name: {shown}. Nothing was"
            " stored; add them to labels."
        )
    segments = tuple(_segment(tool, tool.named[value], mask) for value, mask in sorted(masks.items()))
    missing = [label.name for value, label in sorted(tool.named.items()) if value not in masks]
    remarks = (f"Not found: {', '.join(missing)}.",) if missing else ()
    return imaging.Segmentation(geometry, segments, remarks=remarks).onto(volume.geometry)


def _check_grid(tool: Tool, geometry: VolumeGeometry, sent: VolumeGeometry) -> None:
    """Refuse labels that are not voxel for voxel those of the images; turned axes are not a difference."""
    turned = geometry.turned(sent)[2]
    if turned.matches(sent):
        return
    size, wanted = (" x ".join(map(str, one.shape)) for one in (turned, sent))
    if sent.offset_of(turned) is not None and turned.shape != sent.shape:
        raise GeometryError(
            f"The labels of the tool {tool.name} cover {size} voxels of the {wanted} that the images have;"
            " nothing was stored."
        )
    raise GeometryError(
        f"The labels of the tool {tool.name} ({size} voxels) lie on another grid than the images"
        f" ({wanted} voxels); nothing was stored."
    )


def _from_seg(tool: Tool, data: bytes, volume: Volume, _sent: VolumeGeometry) -> imaging.Segmentation:
    if data[_DICM] != b"DICM":
        raise ToolError(f"The tool {tool.name} gave no DICOM file; nothing was stored.")
    try:
        found = read_segmentation(data, onto=volume.geometry)
    except GeometryError as error:
        raise ToolError(
            f"What the tool {tool.name} gave cannot be read: {error} Nothing was stored."
        ) from error
    if found.frame_of_reference and volume.frame_of_reference not in ("", found.frame_of_reference):
        raise GeometryError(
            f"The segmentation of the tool {tool.name} states another frame of reference than the images;"
            " nothing was stored."
        )
    if not found.fits(volume.geometry):
        raise GeometryError(
            f"The segmentation of the tool {tool.name} lies on another grid than the images; nothing was"
            " stored."
        )
    name = _algorithm(tool)
    segments = tuple(
        replace(one, algorithm="AUTOMATIC", algorithm_name=one.algorithm_name or name)
        for one in found.segments
    )
    return replace(found, segments=segments)


def _segment(tool: Tool, label: Label, mask: Mask) -> Segment:
    words = terminology_of(label)
    colour = colour_for(words, label.value)
    return Segment(label.name, mask, words, colour, "AUTOMATIC", _algorithm(tool))


def _algorithm(tool: Tool) -> str:
    return " ".join(filter(None, (tool.name, tool.model, tool.version)))[:64]


def terminology_of(label: Label) -> Terminology:
    """Return what a label is, in codes: as declared, else as its name suggests."""
    guessed = Terminology.suggest(label.name)
    if label.type is None:
        return replace(
            guessed,
            category=_code(label.category) or guessed.category,
            modifier=_code(label.modifier) or guessed.modifier,
            region=_code(label.region),
        )
    return Terminology(
        _code(label.category) or guessed.category,
        _code(label.type) or guessed.kind,
        _code(label.modifier),
        _code(label.region),
    )


def _code(text: CodeText | None) -> Code | None:
    return None if text is None else Code(text.value, text.scheme, text.meaning)


def accept(home: Home, resource: Resource, person: str) -> Resource:
    """Store a new version of a draft that states who has accepted it; see ``Archive.accept_draft``.

    They are its Content Creator too, since they answer for it.
    """
    person = " ".join(person.split())
    if not person or len(person) > 64 or not person.isprintable() or {"\\", "="} & {*person}:
        raise InvalidInput(
            "Name the person who accepts it, in 1 to 64 characters, no backslash, no equals sign."
        )
    found = read(home, resource)
    if not found.draft:
        raise InvalidInput(f"{resource} is not a draft; there is nothing to accept.")
    if found.images is None:
        raise GeometryError(f"The images of {resource} are not in the archive; retrieve them first.")
    headers = reading.headers_of(reading.paths_of(home, found.images))
    accepted = replace(found, draft=False, creator=person)
    return home.save_once(
        accepted, lambda: [segmentation_to_dicom(accepted, headers, accepted_by=person)], "segmentation"
    )


def _copy(paths: Sequence[Path], folder: Path) -> None:
    """Copy instances, so that no tool can write into the archive."""
    folder.mkdir()
    for number, path in enumerate(paths, 1):
        (folder / f"{number:06}.dcm").write_bytes(path.read_bytes())


def _zipped(folder: Path) -> Path:
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for path in sorted(folder.iterdir()):
            made.write(path, path.name)
    return archive


def described(tool: Tool) -> Mapping[int, Terminology]:
    """Return what the labels of a tool are, in codes, by value."""
    return {value: terminology_of(label) for value, label in sorted(tool.named.items())}


def write_label_map(tool: Tool, segmentation: imaging.Segmentation, path: Path) -> None:
    """Write a segmentation as a NIfTI label map with the values of a tool's labels.

    Raises
    ------
    GeometryError
        Segments overlap, or one is named as no label of the tool.
    """
    values = {label.name: value for value, label in tool.named.items()}
    unknown = [one.label for one in segmentation.segments if one.label not in values]
    if unknown:
        raise GeometryError(
            f"The tool {tool.name} has no label {', '.join(map(repr, unknown[:SHOWN]))}; it has"
            f" {', '.join(values)}."
        )
    with disk_errors(f"Writing {path}"):
        path.write_bytes(segmentation_to_nifti(segmentation, values=values))
