"""NRRD, Slicer's own format, to and from volumes and segmentations (``.seg.nrrd``, overlaps included); as
bytes.

References
----------
https://teem.sourceforge.net/nrrd/format.html; Slicer's segmentation storage:
https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from dicomdock.errors import UnreadableFile
from dicomdock.imaging.dataset import reading
from dicomdock.imaging.formats.nifti import UNPLACED, attached
from dicomdock.imaging.formats.unpack import allowance, boxes, unpack
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Mask, Segment, Segmentation
from dicomdock.imaging.segmentation.label_map import masks_of
from dicomdock.imaging.segmentation.mask import EMPTY
from dicomdock.imaging.terminology import RGB, Terminology, colour_for
from dicomdock.imaging.volume import Volume

_TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_MAX_SEGMENTS = 65535
_DESCRIBED = re.compile(r"Segment(\d{1,5})_(?:ID|Name|LabelValue)", re.ASCII)
_LISTED = 10  # labels named in a remark


@reading("The NRRD file", UnreadableFile)
def volume_from_nrrd(data: bytes) -> Volume:
    """Read a volume, grey or red, green, blue.

    Raises
    ------
    UnreadableFile
        It is not an NRRD file, keeps its data elsewhere, or has not three dimensions.
    """
    array, header = _read(data)
    array, geometry, remarks = _placed(array, header)
    if array.ndim == 4 and (array.shape[0] != 3 or array.dtype != np.uint8):
        raise UnreadableFile("The NRRD file holds several values for each voxel, which are not shown.")
    values = array if array.ndim == 3 else np.ascontiguousarray(np.moveaxis(array, 0, -1))
    return Volume(values, geometry, remarks=remarks)


def volume_to_nrrd(volume: Volume) -> bytes:
    """Write a volume."""
    array = np.moveaxis(volume.array, -1, 0) if volume.colour else volume.array
    return _write(array, volume.geometry, {}, "vector" if volume.colour else "")


@reading("The NRRD file", UnreadableFile)
def segmentation_from_nrrd(
    data: bytes,
    source: Volume | VolumeGeometry | None = None,
    *,
    names: Sequence[str] | Mapping[int, str] = (),
    name: str = "",
) -> Segmentation:
    """Read a segmentation: Slicer's ``.seg.nrrd`` with names, colours, codes and layers, or a plain label
    map.

    Parameters
    ----------
    source : put it on this grid. Voxels that are the grid's own, also with axes turned, are taken as they
        are.
    names : of a plain label map's segments.

    Raises
    ------
    UnreadableFile
        It is not an NRRD file, or no label map.
    """
    array, header = _read(data)
    array, geometry, remarks = _placed(array, header)
    if array.ndim == 4 and len(array) > _MAX_SEGMENTS:
        raise UnreadableFile(
            f"The NRRD file holds {len(array):,} layers; {_MAX_SEGMENTS:,} are read at most."
        )
    described = sorted({int(found[1]) for key in header if (found := _DESCRIBED.fullmatch(key))})
    if not described:
        if array.ndim == 4:
            made = Segmentation.from_array(array, geometry, names=names, name=name)
        else:
            labels = masks_of(array, most=boxes(len(data)))
            made = Segmentation.from_masks(labels, geometry, names=names, name=name)
        return attached(replace(made, remarks=remarks), source)
    layers = array if array.ndim == 4 else array[None]
    masks = dict(enumerate(_masks(layers, boxes(len(data)))))
    # Slicer crops the array to what is drawn and notes the image's whole extent; the grid we keep is the
    # array's.
    where = [_layer_and_value(header, number) for number in described[:_MAX_SEGMENTS]]
    if not {layer for layer, _ in where} <= set(masks):
        raise UnreadableFile("The NRRD file names a layer that it does not hold.")
    segments = [
        _segment(header, number, masks[layer].get(value, EMPTY), at + 1)
        for at, (number, (layer, value)) in enumerate(zip(described, where, strict=False))
    ]
    named = set(where)
    unnamed = [
        (value, mask)
        for layer, drawn in masks.items()
        for value, mask in drawn.items()
        if (layer, value) not in named
    ]
    if unnamed:
        made = Segmentation.from_masks(dict(enumerate(mask for _, mask in unnamed)), geometry)
        segments += (
            replace(segment, label=f"Segment {value}")
            for segment, (value, _) in zip(made.segments, unnamed, strict=True)
        )
        listed = ", ".join(str(value) for value, _ in unnamed[:_LISTED])
        more = "" if len(unnamed) <= _LISTED else " and more"
        remarks += (f"Labels that the file does not name became segments: {listed}{more}.",)
    return attached(Segmentation(geometry, tuple(segments), name=name, remarks=remarks), source)


def _masks(layers: npt.NDArray[Any], most: int) -> Iterator[dict[int, Mask]]:
    """Yield the masks of each layer, all of them within a number of bytes."""
    for layer in layers:
        masks = masks_of(layer, most=most)
        most -= sum(mask.array.size for mask in masks.values())
        yield masks


def segmentation_to_nrrd(segmentation: Segmentation) -> bytes:
    """Write a ``.seg.nrrd`` as Slicer does: overlapping segments go to layers of their own."""
    kind = np.uint8 if len(segmentation.segments) < 256 else np.uint16
    layers: list[npt.NDArray[Any]] = [np.zeros(segmentation.shape, kind)]
    counts = [0]
    header: dict[str, object] = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
    }
    for at, segment in enumerate(segmentation.segments):
        box, drawn = segment.mask.box, segment.mask.array
        number = next((one for one, layer in enumerate(layers) if not layer[box][drawn].any()), len(layers))
        if number == len(layers):
            layers.append(np.zeros(segmentation.shape, kind))
            counts.append(0)
        counts[number] += 1
        layers[number][box][drawn] = counts[number]
        header.update(_described(segment, f"Segment{at}_", at, number, counts[number]))
    if len(layers) == 1:
        return _write(layers[0], segmentation.geometry, header, "")
    return _write(np.stack(layers), segmentation.geometry, header, "list")


def _layer_and_value(header: Mapping[str, Any], number: int) -> tuple[int, int]:
    """Return where a segment is; files of Slicer before 4.11 have a layer for each, of ones."""
    value = header.get(f"Segment{number}_LabelValue")
    layer = header.get(f"Segment{number}_Layer", number if value is None else 0)
    return _whole(layer), _whole(1 if value is None else value)


def _segment(header: Mapping[str, Any], number: int, mask: Mask, at: int) -> Segment:
    key = f"Segment{number}_"
    tags = dict(part.split(":", 1) for part in str(header.get(f"{key}Tags", "")).split("|") if ":" in part)
    label = _unescape(str(header.get(f"{key}Name", f"Segment {at}")))
    entry = tags.get("TerminologyEntry", "")
    terminology = Terminology.from_slicer(entry) if entry else Terminology.suggest(label)
    return Segment(label, mask, terminology, _colour(header, key, terminology, at))


def _colour(header: Mapping[str, Any], key: str, terminology: Terminology, number: int) -> RGB:
    try:
        red, green, blue = (round(float(part) * 255) & 255 for part in str(header[f"{key}Color"]).split())
    except (KeyError, ValueError):
        return colour_for(terminology, number)
    return red, green, blue


def _whole(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise UnreadableFile("The NRRD file's segments are not numbered.") from None


def _described(segment: Segment, key: str, at: int, layer: int, value: int) -> dict[str, object]:
    k, j, i = segment.mask.box
    extent = f"{i.start} {i.stop - 1} {j.start} {j.stop - 1} {k.start} {k.stop - 1}"
    return {
        f"{key}ID": f"Segment_{at + 1}",
        f"{key}Name": _escape(segment.label),
        f"{key}NameAutoGenerated": "0",
        f"{key}Color": " ".join(f"{part / 255:.6g}" for part in segment.colour),
        f"{key}ColorAutoGenerated": "0",
        f"{key}LabelValue": str(value),
        f"{key}Layer": str(layer),
        f"{key}Extent": extent if segment.mask.array.size else "0 -1 0 -1 0 -1",
        f"{key}Tags": f"TerminologyEntry:{segment.terminology.to_slicer()}|",
    }


def _read(data: bytes) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    import nrrd

    file = BytesIO(data)
    try:
        header = _read_header(file)
        if "data file" in header or "datafile" in header:
            raise UnreadableFile(
                "The NRRD header keeps its data in another file; hand in one that holds them."
            )
        array = nrrd.read_data(*_bounded(header, file, len(data)), None, index_order="C")
    except (
        nrrd.NRRDError,
        ValueError,
        TypeError,
        KeyError,
        OSError,
        EOFError,
        StopIteration,
        UnicodeDecodeError,
    ) as error:
        raise UnreadableFile(f"The bytes cannot be read as NRRD: {error}") from error
    return array, header


def _read_header(file: BytesIO) -> dict[str, Any]:
    """Read the header in UTF-8, as Slicer writes it; pynrrd would leave out what is not ASCII."""
    import nrrd

    lines = []
    for line in file:
        lines.append(line.decode("utf-8", "replace"))
        if not line.strip():
            break
    return dict(nrrd.read_header(lines))


def _bounded(header: dict[str, Any], file: BytesIO, stored: int) -> tuple[dict[str, Any], BytesIO]:
    """Unpack the values, as far as the file can hold what its header claims."""
    sizes = [int(size) for size in header["sizes"]]
    encoding = str(header.get("encoding", "raw")).lower()
    packed = encoding in ("gzip", "gz", "bzip2", "bz2")
    size = math.prod(sizes) * _width(str(header["type"]))
    begin = file.tell()
    available = allowance(stored) if packed else stored - begin
    if min(sizes, default=0) < 1 or (size if packed or encoding == "raw" else math.prod(sizes)) > available:
        raise UnreadableFile(f"The NRRD file of {stored:,} bytes claims {size:,} bytes of voxels.")
    if not packed:
        return header, file
    skipped = {"line skip", "lineskip", "byte skip", "byteskip"} & header.keys()
    if any(header[name] for name in skipped):
        raise UnreadableFile("The NRRD file skips parts of packed data, which is not read.")
    values = unpack(file.getbuffer()[begin:], size)
    if len(values) < size:
        there = len(values)
        raise UnreadableFile(f"The NRRD file claims {size:,} bytes of voxels, and has {there:,}.")
    return {**header, "encoding": "raw"}, BytesIO(values)


def _width(kind: str) -> int:
    """Return the bytes of a value of an NRRD type, at least."""
    words = kind.lower().replace("_t", "").split()
    named = {"char": 1, "uchar": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "float": 4, "double": 8}
    if "longlong" in words or "ulonglong" in words or "long" in words:
        return 8
    digits = "".join(letter for letter in words[-1] if letter.isdigit()) if words else ""
    if digits:
        return max(1, int(digits) // 8)
    return max((named.get(word, 1) for word in words if word not in ("signed", "unsigned")), default=1)


def _placed(
    array: npt.NDArray[Any], header: Mapping[str, Any]
) -> tuple[npt.NDArray[Any], VolumeGeometry, tuple[str, ...]]:
    """Bring the values first, (n, k, j, i), and find the grid."""
    if array.ndim not in (3, 4):
        raise UnreadableFile(f"A NRRD file of {array.ndim} dimensions holds no volume.")
    stated = header.get("space directions")
    directions = np.full((array.ndim, 3), np.nan) if stated is None else np.array(
        [[np.nan] * 3 if row is None else row for row in stated], dtype=np.float64
    )  # fmt: skip
    spatial = [axis for axis in range(array.ndim) if np.isfinite(directions[axis]).all()]
    signs = np.array(_TO_LPS.get(str(header.get("space", "")).lower(), (1, 1, 1)))
    affine = np.eye(4)
    remarks: tuple[str, ...] = ()
    if len(spatial) == 3:
        # The file counts axes from the fastest, the array (in C order) from the slowest.
        if array.ndim == 4:
            other = next(axis for axis in range(4) if axis not in spatial)
            array = np.moveaxis(array, 3 - other, 0)
        affine[:3, :3] = (directions[spatial] * signs)[::-1].T
        affine[:3, 3] = np.asarray(header.get("space origin", (0, 0, 0)), dtype=np.float64) * signs
    else:
        steps = np.array([value for value in header.get("spacings", [1.0] * 3) if np.isfinite(value)][-3:])
        affine[:3, :3] = np.diag(steps)[::-1].T if len(steps) == 3 else np.eye(3)[::-1]
        remarks = (UNPLACED,)
    shape = array.shape[-3:]
    return array, VolumeGeometry((shape[0], shape[1], shape[2]), affine), remarks


def _write(
    array: npt.NDArray[Any], geometry: VolumeGeometry, more: Mapping[str, object], first: str
) -> bytes:
    import nrrd

    directions = geometry.affine[:3, :3].T[::-1]
    kinds = ["domain"] * 3
    if first:
        directions = np.vstack([np.full(3, np.nan), directions])
        kinds = [first, *kinds]
    values = np.ascontiguousarray(np.moveaxis(array, 0, -1)) if first else array
    header = {
        "space": "left-posterior-superior",
        "space directions": directions,
        "space origin": np.array(geometry.origin),
        "kinds": kinds,
        "encoding": "gzip",
        **more,
    }
    # pynrrd writes ASCII only, so other texts stand percent-encoded in its header until it has written it.
    texts = {key: text for key, text in more.items() if isinstance(text, str) and not text.isascii()}
    header |= {key: quote(text) for key, text in texts.items()}
    file = BytesIO()
    nrrd.write(file, values, header, index_order="C", compression_level=1)
    written, end, stored = file.getvalue().partition(b"\n\n")
    for key, text in texts.items():
        written = written.replace(f"\n{key}:={quote(text)}".encode(), f"\n{key}:={text}".encode(), 1)
    return written + end + stored


def _escape(text: str) -> str:
    """Write a text on one line, as the format has it for values of its keys."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\n])", lambda found: "\n" if found[1] == "n" else "\\", text)
