"""Structure sets of the archive whose regions belong to several series, or name none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicomdock import Archive
from dicomdock.errors import GeometryError
from tests.builders import Made, encode, write
from tests.imaging.scans import headers, scan
from tests.imaging.test_rtstruct_witness import AFFINE, SHAPE, square, structures


def scans() -> tuple[list[Made], list[Made]]:
    """Make two series of one study, each with a frame of reference of its own."""
    first = scan(np.zeros(SHAPE, np.int16), AFFINE)
    second = scan(np.zeros(SHAPE, np.int16), AFFINE, StudyInstanceUID=first[0].study, Modality="MR")
    return first, second


def on(dataset: Dataset, regions: dict[int, Made]) -> Dataset:
    """Say of each region, by its place, which image it is drawn on."""
    for at, made in regions.items():
        dataset.StructureSetROISequence[at].ReferencedFrameOfReferenceUID = made.dataset.FrameOfReferenceUID
        for contour in dataset.ROIContourSequence[at].ContourSequence:
            image = Dataset()
            image.ReferencedSOPClassUID = made.dataset.SOPClassUID
            image.ReferencedSOPInstanceUID = made.dataset.SOPInstanceUID
            contour.ContourImageSequence = [image]
    return dataset


def drawn(images: list[Made], *counts: int) -> Dataset:
    """Make a structure set that names the images, with a region of this many squares for each count."""
    heights = [3.0 * at for at in range(max(counts))]
    contours = {
        f"region {number}": [("CLOSED_PLANAR", square(0, 5, z)) for z in heights[:count]]
        for number, count in enumerate(counts)
    }
    return structures(headers(images), contours)


def read(archive: Archive, tmp_path: Path, dataset: Dataset, *series: list[Made]) -> tuple[str, list[int]]:
    stored = Made(dataset, encode(dataset))
    archive.import_paths(write(tmp_path / "in", [*(one for made in series for one in made), stored]))
    found = archive.segmentation(f"{stored.study}/{stored.series}")
    return found.source_series, [one.mask.count for one in found.segments]


@pytest.mark.slow
@pytest.mark.parametrize(("counts", "due"), [((1, 2), [0, 50]), ((2, 1), [50, 0])])
@pytest.mark.parametrize("turned", [False, True])
def test_regions_are_read_onto_the_series_that_most_were_drawn_on(
    archive: Archive, tmp_path: Path, counts: tuple[int, int], due: list[int], turned: bool
) -> None:
    ct, mr = scans()
    dataset = on(drawn(ct, *counts), {0: ct[0], 1: mr[0]})
    frames = [drawn(one, 1).ReferencedFrameOfReferenceSequence[0] for one in (ct, mr)]
    dataset.ReferencedFrameOfReferenceSequence = frames[::-1] if turned else frames
    series, found = read(archive, tmp_path, dataset, ct, mr)
    assert (series, found) == ((ct if due[0] else mr)[0].series, due)


@pytest.mark.slow
def test_images_are_found_by_the_contours_where_no_series_is_named(archive: Archive, tmp_path: Path) -> None:
    ct, mr = scans()
    dataset = on(drawn(ct, 1, 2), {0: ct[0], 1: mr[0]})
    del dataset.ReferencedFrameOfReferenceSequence
    assert read(archive, tmp_path, dataset, ct, mr) == (mr[0].series, [0, 50])


@pytest.mark.slow
def test_a_structure_set_that_names_no_images_is_refused_as_one(archive: Archive, tmp_path: Path) -> None:
    ct, _ = scans()
    dataset = drawn(ct, 1)
    del dataset.ReferencedFrameOfReferenceSequence
    with pytest.raises(GeometryError, match="does not name the images"):
        read(archive, tmp_path, dataset, ct)
