"""Siemens' CSA header, and the slices of a mosaic: many slices that are stored as the tiles of one image.

References
----------
The published layouts of the CSA header, https://nipy.org/nibabel/dicom/siemens_csa.html, and of the mosaic,
https://nipy.org/nibabel/dicom/dicom_mosaic.html.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.imaging.attributes import number, private, texts
from dicomdock.imaging.geometry.plane import Plane, cross

MOST_TAGS, MOST_ITEMS = 1000, 1000  # of a CSA header; a damaged one claims any number
MOST_TILES = 1024

_MOSAIC = "MOSAIC"
_UNCOUNTED = "The image is a mosaic of slices, and does not state of how many."
_TAG = struct.Struct("<64si4s3i")
_ITEM = struct.Struct("<4i")


@dataclass(frozen=True, slots=True)
class Mosaic:
    """The slices in a mosaic.

    Parameters
    ----------
    count : slices; the tiles behind them are empty.
    side : tiles in a row, and in a column.
    normal : from each slice to the next, as far as the header states it.
    times : ms after the start of the volume at which each slice was acquired; empty where not stated.
    """

    count: int
    side: int
    normal: tuple[float, ...] = ()
    times: tuple[float, ...] = ()


def is_mosaic(header: Dataset) -> bool:
    """Return whether an image is a mosaic."""
    return _MOSAIC in (kind.upper() for kind in texts(header, "ImageType"))


def mosaic_of(header: Dataset) -> Mosaic | None:
    """Return the slices of a mosaic; None where the header does not state how many there are."""
    csa = csa_header(header)
    count = _first(csa, "NumberOfImagesInMosaic")
    if count is None:
        try:
            count = float(private(header, 0x0019, "SIEMENS MR HEADER", 0x0A))
        except READ_ERRORS:
            return None
    if not 1 <= count <= MOST_TILES:
        return None
    found = int(count)
    return Mosaic(
        found,
        math.ceil(math.sqrt(found)),
        _floats(csa, "SliceNormalVector", 3),
        _floats(csa, "MosaicRefAcqTimes", found),
    )


def tiles(plane: Plane, header: Dataset) -> tuple[list[Plane], str]:
    """Return the slices of a mosaic as planes; or none, and why, as a sentence.

    The position that the header states is that of a mosaic whose centre is the first slice's.

    Parameters
    ----------
    plane : the whole image, with its position.
    """
    mosaic = mosaic_of(header)
    if mosaic is None:
        return [], _UNCOUNTED
    rows, columns = plane.rows // mosaic.side, plane.columns // mosaic.side
    if rows * mosaic.side != plane.rows or columns * mosaic.side != plane.columns:
        size = f"{plane.columns} x {plane.rows} pixels"
        return [], f"The image is a mosaic of {mosaic.count} slices, into which its {size} cannot be divided."
    if not plane.placed:
        return [], plane.remark or "The image is a mosaic of slices, and does not state where they lie."
    step = number(header, "SpacingBetweenSlices") or number(header, "SliceThickness")
    if not step:
        return [], "The image is a mosaic of slices, and does not state how far apart they lie."
    assert plane.origin is not None and plane.spacing is not None
    assert plane.along_row is not None and plane.along_column is not None
    normal = cross(plane.along_row, plane.along_column)
    if mosaic.normal and sum(a * b for a, b in zip(mosaic.normal, normal, strict=True)) < 0:
        normal = (-normal[0], -normal[1], -normal[2])
    down = plane.spacing[0] * (plane.rows - rows) / 2
    across = plane.spacing[1] * (plane.columns - columns) / 2
    first = [
        at + down * by_row + across * by_column
        for at, by_row, by_column in zip(plane.origin, plane.along_column, plane.along_row, strict=True)
    ]
    found = []
    for at in range(mosaic.count):
        x, y, z = (start + abs(step) * at * way for start, way in zip(first, normal, strict=True))
        tile = (at // mosaic.side * rows, at % mosaic.side * columns)
        found.append(
            replace(
                plane,
                frame=at + 1,
                rows=rows,
                columns=columns,
                origin=(x, y, z),
                thickness=abs(step),
                tile=tile,
                delay=mosaic.times[at] if at < len(mosaic.times) else None,
            )
        )
    return found, ""


def csa_header(header: Dataset) -> Mapping[str, tuple[str, ...]]:
    """Return the CSA image header's texts by name; empty where there is none or it is damaged."""
    try:
        data = private(header, 0x0029, "SIEMENS CSA HEADER", 0x10)
    except READ_ERRORS:
        return {}
    return read_csa(data) if isinstance(data, bytes) else {}


def read_csa(data: bytes) -> dict[str, tuple[str, ...]]:
    """Read a CSA header of either version, as far as it is whole."""
    found: dict[str, tuple[str, ...]] = {}
    second = data[:4] == b"SV10"
    at = 8 if second else 0
    try:
        (count,) = struct.unpack_from("<I", data, at)
        at += 8
        shift = None
        for _ in range(min(count, MOST_TAGS)):
            name, values, _, _, held, _ = _TAG.unpack_from(data, at)
            at += _TAG.size
            if not 0 <= held <= MOST_ITEMS:
                break
            shift = held if shift is None else shift
            texts_of: list[str] = []
            for _ in range(held):
                first, second_length, _, _ = _ITEM.unpack_from(data, at)
                at += _ITEM.size
                length = second_length if second else first - shift
                if length < 0 or at + length > len(data):
                    return found
                texts_of.append(_text(data[at : at + length]))
                at += -(-length // 4) * 4
            found[_text(name)] = tuple(texts_of[: values or held])
    except struct.error:
        pass  # the header is cut: what was whole is read
    return found


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("latin-1").strip()


def _floats(csa: Mapping[str, Sequence[str]], name: str, count: int) -> tuple[float, ...]:
    try:
        found = tuple(float(value) for value in csa.get(name, ()) if value)
    except ValueError:
        return ()
    return found[:count] if len(found) >= count and all(map(math.isfinite, found)) else ()


def _first(csa: Mapping[str, Sequence[str]], name: str) -> float | None:
    found = _floats(csa, name, 1)
    return found[0] if found else None


def diffusion_of(header: Dataset) -> tuple[float | None, tuple[float, ...]]:
    """Return b-value (s/mm2) and gradient direction (LPS) that the CSA header states."""
    csa = csa_header(header)
    return _first(csa, "B_value"), _floats(csa, "DiffusionGradientDirection", 3)
