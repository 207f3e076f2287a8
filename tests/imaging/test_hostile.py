"""Damaged and hostile bytes: whatever comes in, what comes out is a value or an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement

from dicomdock.errors import DicomdockError, GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.documents import pdf_to_dicom, read_document
from dicomdock.imaging.formats.nifti import segmentation_from_nifti, segmentation_to_nifti
from dicomdock.imaging.formats.nrrd import segmentation_from_nrrd, segmentation_to_nrrd
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.measurements import Report, distance, read_report, report_to_dicom
from dicomdock.imaging.parametric import ParametricMap, parametric_map_to_dicom, read_parametric_map
from dicomdock.imaging.rtstruct import read_structures, structures_to_dicom
from dicomdock.imaging.segmentation import Segmentation, read_segmentation, segmentation_to_dicom
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.volume import outline
from tests.imaging.scans import headers, scan
from tests.imaging.test_frame_planes import enhanced

SHAPE = (3, 8, 8)
INSTANCES = scan(np.arange(192, dtype=np.int16).reshape(SHAPE))
SOURCES = headers(INSTANCES)
GRID = split_series(SOURCES)[0].geometry
DRAWN = Segmentation.from_array((np.arange(192).reshape(SHAPE) % 3).astype(np.uint8), GRID)


def _enhanced() -> bytes:
    from tests.imaging.scans import put_pixels

    dataset = enhanced()
    put_pixels(dataset, np.zeros((8, 10, 12), np.uint16))
    return to_bytes(dataset)


# What makes the bytes, and what reads them.
CASES: dict[str, tuple[Callable[[], bytes], Callable[[bytes], object]]] = {
    "image": (lambda: INSTANCES[0].data, lambda data: Volume.from_instances([data])),
    "enhanced": (_enhanced, lambda data: Volume.from_instances([data])),
    "binary": (lambda: to_bytes(segmentation_to_dicom(DRAWN, SOURCES)), read_segmentation),
    "labelmap": (
        lambda: to_bytes(segmentation_to_dicom(DRAWN, SOURCES, kind="LABELMAP")),
        read_segmentation,
    ),
    "structures": (
        lambda: to_bytes(structures_to_dicom(DRAWN, SOURCES)),
        lambda data: read_structures(data, GRID),
    ),
    "report": (
        lambda: to_bytes(report_to_dicom(Report((distance("d", (0, 0, 0), (1, 1, 1)),)), SOURCES)),
        read_report,
    ),
    "map": (
        lambda: to_bytes(
            parametric_map_to_dicom(ParametricMap(Volume(np.ones(SHAPE, np.float32), GRID)), SOURCES)
        ),
        read_parametric_map,
    ),
    "pdf": (lambda: to_bytes(pdf_to_dicom(b"%PDF-1.4", "x", SOURCES)), read_document),
    "nifti": (lambda: segmentation_to_nifti(DRAWN, compress=False), segmentation_from_nifti),
    "nifti.gz": (lambda: segmentation_to_nifti(DRAWN), segmentation_from_nifti),
    "nrrd": (lambda: segmentation_to_nrrd(DRAWN), segmentation_from_nrrd),
}


@cache
def whole_bytes(name: str) -> bytes:
    """Make the bytes of a case once, when it is tested: each worker reads this file."""
    return CASES[name][0]()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # libraries warn of what they find; that is not what is asked here
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_end_in_a_value_or_our_error(name: str, data: st.DataObject) -> None:
    whole, read = whole_bytes(name), CASES[name][1]
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(whole))))
    try:
        read(bytes(damaged[:cut]))
    except DicomdockError as error:
        assert str(error)


def test_pixel_data_of_an_unknown_representation_are_an_error_of_ours_or_read() -> None:
    data = INSTANCES[0].data
    at = data.rindex(b"\xe0\x7f\x10\x00") + 4
    with pytest.raises(DicomdockError):
        Volume.from_instances([data[:at] + b"ZZ" + data[at + 2 :]])
    odd = Volume.from_instances([data[:at] + b"O\0" + data[at + 2 :]])
    assert np.array_equal(odd.array, Volume.from_instances([data]).array)


@pytest.mark.slow
@given(
    st.sampled_from(["BitsAllocated", "BitsStored"]),
    st.integers(-(2**31), 2**31 - 1).filter(lambda bits: not 0 <= bits <= 64) | st.just(10**12 - 1),
)
def test_numbers_of_bits_are_bounded_before_they_are_used(keyword: str, bits: int) -> None:
    """A hundred thousand bits were too many for a float; a million million would take all memory."""
    header = headers(INSTANCES[:1])[0]
    header[keyword] = DataElement(keyword, "DS", str(bits))
    try:
        plan = split_series([header])[0]
    except GeometryError:
        return
    assert keyword == "BitsStored"  # more than are allocated are those that are allocated
    assert bits > 64
    assert plan.dtype.itemsize <= 8


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
def test_more_pixels_than_an_image_can_have_are_an_error_of_ours(keyword: str) -> None:
    header = headers(INSTANCES[:1])[0]
    header[keyword] = DataElement(keyword, "DS", "1e30")
    with pytest.raises(GeometryError):
        outline(split_series([header])[0])
