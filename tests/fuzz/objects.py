"""Targets of files: headers and metadata, NIfTI and NRRD, derived objects, geometry and pixels, rendering."""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import RLELossless

from dicomdock.errors import DicomdockError
from tests import builders
from tests.fuzz.targets import Target, found_before
from tests.fuzz.tokens import DICOM, FILES
from tests.imaging.scans import headers as headers_of
from tests.imaging.scans import put_pixels, scan

SHAPE = (3, 8, 8)


def many_items(count: int, *, undefined: bool) -> bytes:
    """Return a CT instance with a sequence of so many small items behind its head."""
    whole = builders.ct_series(1)[0].data
    tag = struct.pack("<HH2sHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF if undefined else 8 * count)
    item = struct.pack("<LL", 0xE000FFFE, 0xFFFFFFFF if undefined else 0)
    items = (item + struct.pack("<LL", 0xE00DFFFE, 0)) * count if undefined else item * count
    end = struct.pack("<LL", 0xE0DDFFFE, 0) if undefined else b""
    at = whole.index(b"\xe0\x7f\x10\0")
    return whole[:at] + tag + items + end + whole[at:]


def headers(folder: Path) -> Target:
    from dicomdock.archive.index import mapping
    from dicomdock.archive.index.attributes import WANTED
    from dicomdock.dicom import part10
    from dicomdock.dicom.dataset import read_dataset
    from dicomdock.dicom.json_model import flatten
    from dicomdock.dicom.json_writing import from_dataset
    from dicomdock.imaging.references import references_of, studies_of_references

    made = [*builders.ct_series(1), builders.multiframe(2), builders.document()]
    seeds = [one.data for one in made] + [made[0].data[132:]]

    def cases() -> list[bytes]:
        return [
            builders.deflated_bomb(made[0], 256 << 20),
            many_items(110_000, undefined=False),
            many_items(60_000, undefined=True),
            *found_before("crash-header", "crash-stow", "bad-"),
            *(nested(made[0].data, depth) for depth in (100, 400, 1000)),
        ]

    def header(data: bytes) -> None:
        from contextlib import nullcontext

        found = part10.read_header(data[: part10.HEAD], len(data), lambda: nullcontext(data), WANTED)
        with suppress(DicomdockError):
            found.resource()
        for row in (mapping.study_row, mapping.series_row, mapping.instance_row):
            row(found)
        mapping.study_columns(found, mapping.STUDY_TAGS)
        for keyword in mapping.STUDY_TAGS:
            mapping.study_text_of(found, keyword)

    def metadata(data: bytes) -> None:
        dataset = read_dataset(BytesIO(data), pixels=False)
        flatten(from_dataset(dataset))
        references_of(dataset)
        studies_of_references(dataset)

    def names(data: bytes) -> None:
        part10.identify(data[: part10.HEAD])
        part10.media_instance(data[:4096])
        part10.transfer_syntax(data[:4096])
        part10.is_dicomdir(data)

    return Target(seeds, (header, metadata, names), DICOM, cases, trees=True)


def nested(data: bytes, depth: int) -> bytes:
    """Return an instance with sequences nested so deep, of undefined length."""
    at = data.index(b"\xe0\x7f\x10\0")
    begin = struct.pack("<HH2sHLLL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF, 0xE000FFFE, 0xFFFFFFFF)
    end = struct.pack("<LLLL", 0xE00DFFFE, 0, 0xE0DDFFFE, 0)
    return data[:at] + begin * depth + end * depth + data[at:]


def files(folder: Path) -> Target:
    from dicomdock.imaging.formats.nifti import (
        segmentation_from_nifti,
        segmentation_to_nifti,
        volume_to_nifti,
        volumes_from_nifti,
    )
    from dicomdock.imaging.formats.nrrd import (
        segmentation_from_nrrd,
        segmentation_to_nrrd,
        volume_from_nrrd,
        volume_to_nrrd,
    )
    from tests.imaging.test_claims import NRRD, claims

    drawn, volume, _ = _drawn()
    text = NRRD.format(kind="int", sizes="2 2 2", encoding="ascii").encode() + b"1 2 3 4 5 6 7 8"
    raw = NRRD.format(kind="uint8", sizes="2 2 2", encoding="raw").encode() + bytes(range(8))
    seeds = [
        segmentation_to_nifti(drawn, compress=False),
        segmentation_to_nifti(drawn),
        volume_to_nifti(volume),
        volume_to_nifti(volume, compress=False),
        segmentation_to_nrrd(drawn),
        volume_to_nrrd(volume),
        text,
        raw,
    ]

    def cases() -> list[bytes]:
        return [*claims().values(), *found_before("hang-nrrd", "mem-nrrd", "slow-nrrd")]

    readers = volumes_from_nifti, segmentation_from_nifti, volume_from_nrrd, segmentation_from_nrrd

    return Target(seeds, readers, FILES, cases)


def _drawn() -> tuple[Any, Any, Any]:
    from dicomdock.imaging.geometry import split_series
    from dicomdock.imaging.segmentation import Segmentation
    from dicomdock.imaging.volume import Volume

    sources = headers_of(scan(np.arange(192, dtype=np.int16).reshape(SHAPE)))
    grid = split_series(sources)[0].geometry
    drawn = Segmentation.from_array((np.arange(192).reshape(SHAPE) % 3).astype(np.uint8), grid)
    return drawn, Volume(np.arange(192, dtype=np.float32).reshape(SHAPE), grid), sources


def derived(folder: Path) -> Target:
    from dicomdock.imaging.authoring import to_bytes
    from dicomdock.imaging.documents import pdf_to_dicom, read_document
    from dicomdock.imaging.measurements import Report, distance, read_report, report_to_dicom
    from dicomdock.imaging.parametric import ParametricMap, parametric_map_to_dicom, read_parametric_map
    from dicomdock.imaging.rtstruct import read_structures, structures_to_dicom
    from dicomdock.imaging.segmentation import read_segmentation, segmentation_to_dicom

    drawn, volume, sources = _drawn()
    report = Report((distance("d", (0, 0, 0), (1, 1, 1)),))
    made = [
        segmentation_to_dicom(drawn, sources),
        segmentation_to_dicom(drawn, sources, compression="none"),
        segmentation_to_dicom(drawn, sources, kind="LABELMAP"),
        structures_to_dicom(drawn, sources),
        report_to_dicom(report, sources),
        parametric_map_to_dicom(ParametricMap(volume), sources),
        pdf_to_dicom(b"%PDF-1.4", "x", sources),
    ]

    readers = (
        read_segmentation,
        lambda data: read_segmentation(data, onto=drawn.geometry),
        lambda data: read_structures(data, drawn.geometry),
        read_report,
        lambda data: read_report(data, sources),
        read_parametric_map,
        read_document,
    )

    def cases() -> list[bytes]:
        crowded = segmentation_to_dicom(drawn, sources, compression="none")
        crowded.SegmentSequence = list(crowded.SegmentSequence) * 500
        return [to_bytes(crowded), *found_before("seg_")]

    return Target([to_bytes(one) for one in made], readers, DICOM, cases, trees=True)


def drawing(folder: Path) -> Target:
    """Return what is done with segmentations and structures once they are read: arrays, files, outlines."""
    from dicomdock.imaging.authoring import to_bytes
    from dicomdock.imaging.formats.nrrd import segmentation_to_nrrd
    from dicomdock.imaging.rtstruct import read_structures, structures_to_dicom
    from dicomdock.imaging.segmentation import Segmentation, read_segmentation, segmentation_to_dicom

    drawn, _, sources = _drawn()
    made = [
        segmentation_to_dicom(drawn, sources),
        segmentation_to_dicom(drawn, sources, compression="none"),
        segmentation_to_dicom(drawn, sources, kind="LABELMAP"),
        structures_to_dicom(drawn, sources),
    ]

    def use(found: Segmentation) -> None:
        assert isinstance(found.overlapping, bool)
        found.to_array()
        segmentation_to_nrrd(found)

    readers = (
        lambda data: use(read_segmentation(data)),
        lambda data: use(read_segmentation(data, onto=drawn.geometry)),
        lambda data: use(read_structures(data, drawn.geometry)),
    )
    return Target([to_bytes(one) for one in made], readers, DICOM, lambda: found_before("seg_"), trees=True)


def _images() -> list[bytes]:
    from pydicom.pixels.encoders import RLELosslessEncoder  # noqa: F401 - registers the encoder

    slices = scan(np.arange(192, dtype=np.int16).reshape(SHAPE))
    packed = copy.deepcopy(slices[0].dataset)
    packed.compress(RLELossless, generate_instance_uid=False)
    colour = builders.changed(
        slices[0],
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
    )
    colour.dataset.PixelData = bytes(192)
    palette = builders.changed(slices[0], PhotometricInterpretation="PALETTE COLOR", PixelRepresentation=0)
    for name in ("Red", "Green", "Blue"):
        setattr(palette.dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(palette.dataset, f"{name}PaletteColorLookupTableData", bytes(512))
    return [
        slices[1].data,
        builders.encode(packed),
        builders.encode(colour.dataset),
        builders.encode(palette.dataset),
    ]


def _enhanced() -> bytes:
    from tests.imaging.test_frame_planes import enhanced

    dataset = enhanced()
    put_pixels(dataset, np.zeros((8, 10, 12), np.uint16))
    return builders.encode(dataset)


def geometry(folder: Path) -> Target:
    from dicomdock.imaging.dataset import as_dataset
    from dicomdock.imaging.geometry import split_series
    from dicomdock.imaging.multivolume import (
        apparent_diffusion,
        difference,
        maximum,
        mean,
        members_of,
        trace_weighted,
        voxel_curve,
    )
    from dicomdock.imaging.volume import Volume, allocate, check_claim, outline
    from tests.imaging.test_multivolume import DIRECTIONS, arrays, diffusion

    weights = [(0.0, ()), *((1000.0, direction) for direction in DIRECTIONS)]
    weighted = diffusion(arrays(len(weights)), weights)
    slices = scan(np.arange(192, dtype=np.int16).reshape(SHAPE))
    # Only what is mutated is read anew for each input.
    others = [as_dataset(slices[0].data), as_dataset(slices[2].data)]
    stored = len(slices[0].data) + len(slices[2].data)
    later = [as_dataset(one.data) for one in weighted[1:]]

    def plans(data: bytes) -> None:
        for plan in split_series([others[0], as_dataset(data, pixels=False), others[1]]):
            repr(
                (plan.shape, plan.dtype, plan.units, plan.windows, plan.label, plan.inverted, plan.frame_time)
            )
            outline(plan).window()
            check_claim(plan, len(data) + stored)
            allocate(plan)

    def alone(data: bytes) -> None:
        volume = Volume.from_instances([data])
        volume.window()
        volume.straightened()

    def cases() -> list[bytes]:
        return [*found_before("crash-geometry", "slow-render", "deflate_bomb")]

    def among(data: bytes) -> None:
        Volume.from_instances([others[0], data, others[1]]).window()

    def over_time(data: bytes) -> None:
        """Read a slice as the first of a series of several volumes, and compute over all of them."""
        instances = [as_dataset(data), *later]
        found = members_of(split_series(instances))
        volumes = [Volume.from_instances(instances, plan=plan) for plan in found.plans]
        mean(volumes)
        maximum(volumes)
        difference(volumes[-1], volumes[0])
        voxel_curve(volumes, volumes[0].geometry.affine[:3, 3])
        apparent_diffusion(volumes, found.axis, found.plans)
        trace_weighted(volumes, found.axis, found.plans, 1000)

    seeds = [*_images(), _enhanced(), weighted[0].data]
    return Target(seeds, (plans, alone, among, over_time), DICOM, cases, trees=True)


def rendering(folder: Path) -> Target:
    from dicomdock.origin.decoding import decode_frame, read_frame, read_value, write_explicit
    from dicomdock.origin.rendering import render
    from dicomdock.origin.view import View, Viewport, Window

    stored, written = folder / "stored.dcm", folder / "written.dcm"
    view = View(window=Window(40, 400, "LINEAR"), viewport=Viewport(64, 64))

    def of_file(work: Callable[[], object]) -> Callable[[bytes], object]:
        def read(data: bytes) -> None:
            stored.write_bytes(data)
            work()

        return read

    readers = (
        lambda: render(stored, 1),
        lambda: render(stored, 1, view),
        lambda: read_frame(stored, 1),
        lambda: decode_frame(stored, 1),
        lambda: read_value(stored, ["7FE00010"]),
        lambda: write_explicit(stored, written),
    )

    def cases() -> list[bytes]:
        bomb = builders.deflated_bomb(builders.ct_series(1)[0], 256 << 20)
        return [bomb, *found_before("crash-geometry", "slow-render", "deflate_bomb")]

    return Target([*_images(), _enhanced()], list(map(of_file, readers)), DICOM, cases, trees=True)
