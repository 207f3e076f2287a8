"""Segmentations and structure sets that other programs made: opened, seen, edited, saved as a new version."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from dicomdock import Archive, Resource
from dicomdock.imaging.rtstruct import is_structure_set, read_structures
from dicomdock.imaging.segmentation import Segmentation
from tests.builders import Made, encode
from tests.conftest import shared_data
from tests.imaging.scans import check_with_dciodvfy
from tests.viewer.conftest import Opened, Screen, folders, store, viewing
from tests.viewer.editing import until_coloured

pytestmark = [
    pytest.mark.viewer,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # real files break rules; pydicom says so
]

SEGMENTS, STRUCTURES = Path("zoo/seg-sr-pm/segmentations"), Path("zoo/rtstruct/mock_data")
IMAGES = {
    "ct": [SEGMENTS / "ct-3slice" / f"0{number}.dcm" for number in (1, 2, 3)],
    "small": [SEGMENTS / "24x38x3/image" / f"IMG000{number}.dcm" for number in (1, 2, 3)],
    "two": [STRUCTURES / "ct_1.dcm", STRUCTURES / "ct_2.dcm"],
}
DRAWN = {
    "liver": ("ct", SEGMENTS / "liver.dcm"),
    "overlaps": ("ct", SEGMENTS / "partial_overlaps.dcm"),
    "label": ("small", SEGMENTS / "24x38x3/seg/label.seg"),
    "labelmap": ("small", SEGMENTS / "sparse-labelmap-noppv.dcm"),
    "padded": ("small", SEGMENTS / "sparse-labelmap-ppv5.dcm"),
    "structures": ("two", STRUCTURES / "rt.dcm"),
    "unknown": ("two", STRUCTURES / "non_existent_reference_rt.dcm"),
    "invalid": ("two", STRUCTURES / "invalid_reference_rt.dcm"),
    "empty": ("two", Path("zoo/rtstruct/empty/dummy_rt.dcm")),
}
"""Names of what was drawn: on which images, and where it is."""


class Existing:
    """Images and what was drawn on them, as one study.

    Parameters
    ----------
    study : Study Instance UID of all.
    series : Series Instance UIDs, by the names above.
    instances : of all.
    """

    def __init__(self, folder: Path) -> None:
        self.study = str(generate_uid())
        self.series: dict[str, str] = {}
        self.instances: list[Made] = []
        for name, paths in IMAGES.items():
            for path in paths:
                self._add(name, dcmread(folder / path))
        for name, (_, path) in DRAWN.items():
            self._add(name, dcmread(folder / path), alone=True)
        for name, spoil in (("frameless", _without_frames), ("pixelless", _without_pixels)):
            dataset = dcmread(folder / DRAWN["liver"][1])
            spoil(dataset)
            self._add(name, dataset, alone=True)

    def _add(self, name: str, dataset: Dataset, *, alone: bool = False) -> None:
        dataset.StudyInstanceUID = self.study
        if alone:  # some of these have the same UIDs
            dataset.SeriesInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SeriesDescription = name
        self.series[name] = str(dataset.SeriesInstanceUID)
        self.instances.append(Made(dataset, encode(dataset)))


def _without_frames(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence


def _without_pixels(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2 * 2 // 4]


@pytest.fixture(scope="module")
def existing() -> Existing:
    """The study."""
    return Existing(shared_data())


@pytest.fixture(scope="module")
def opened(
    viewer_installed: None, existing: Existing, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """The study in one viewer for all."""
    settings = folders(tmp_path_factory.mktemp("existing"))
    store(settings, existing.instances)
    with viewing(settings, Resource(existing.study, existing.series["ct"])) as found:
        yield found


def click_on(screen: Screen, existing: Existing, images: str, name: str) -> str:
    """Show images, and click on what was drawn on them."""
    shown, uid = existing.series[images], existing.series[name]
    screen.show(shown)
    screen.tool("segment")
    screen.button(f"drawing-{uid}").click()
    return uid


@pytest.mark.parametrize("name", DRAWN)
def test_what_others_drew_is_opened_edited_and_saved(
    existing: Existing, opened: Opened, screen: Screen, tmp_path: Path, name: str
) -> None:
    images, _ = DRAWN[name]
    uid = click_on(screen, existing, images, name)
    screen.wait(f"s.drawing_uid === '{uid}' && !s.unsaved")
    until_coloured(screen, more=0.0005)  # it lies on the slice that is shown, whichever it is
    headers = [one.dataset for one in existing.instances if one.series == existing.series[images]]
    before = read_before(existing, opened, images, uid)
    screen.brush()
    x, y = screen.middle()
    screen.drag((x - 10, y), (x + 10, y))
    screen.wait("s.unsaved")
    screen.page.keyboard.press("Escape")
    screen.page.keyboard.press("Control+s")
    screen.wait("!s.unsaved && !s.saving")
    with Archive.open(opened.settings) as archive:
        made = [one for one in archive.instances(Resource(existing.study)) if one.made_here]
        newest = max(made, key=lambda one: one.path.stat().st_mtime_ns)
        after, data = archive.segmentation(newest.resource), newest.path.read_bytes()
    written = dcmread(io.BytesIO(data))
    known = {one.instance for one in existing.instances} | set(existing.series.values())
    assert not known & {str(written.SOPInstanceUID), str(written.SeriesInstanceUID)}
    assert written.StudyInstanceUID == existing.study
    assert written.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    assert [one.SeriesInstanceUID for one in written.ReferencedSeriesSequence] == [existing.series[images]]
    check_with_dciodvfy(data, tmp_path)
    assert highdicom.seg.segread(io.BytesIO(data)).number_of_segments == len(before.segments)
    assert [one.label for one in after.segments] == [one.label for one in before.segments]
    shape = headers_shape(headers)
    first, *others = [
        (was.mask.whole(shape), now.mask.whole(shape))
        for was, now in zip(before.segments, after.segments, strict=True)
    ]
    painted = first[1] & ~first[0]
    assert painted.any() and not (first[0] & ~first[1]).any()
    for was, now in others:  # where segments overlap, nothing is taken from the others
        assert np.array_equal(now, was if before.overlapping else was & ~painted)
    for was, now in zip(before.segments, after.segments, strict=True):  # a reviewer sees what was changed
        changed = not np.array_equal(was.mask.whole(shape), now.mask.whole(shape))
        assert now.algorithm == ("SEMIAUTOMATIC" if changed else was.algorithm)
    assert after.overlapping == before.overlapping


def read_before(existing: Existing, opened: Opened, images: str, uid: str) -> Segmentation:
    """Read on the images' grid what is opened, structures that name other images too."""
    (drawn,) = [one.dataset for one in existing.instances if one.series == uid]
    with Archive.open(opened.settings) as archive:
        if not is_structure_set(drawn):
            return archive.segmentation(Resource(existing.study, uid))
        volume = archive.volume(Resource(existing.study, existing.series[images]))
    return read_structures(
        drawn,
        volume.geometry,
        frame_of_reference=volume.frame_of_reference,
        instances=[one[0] for one in volume.sources if one],
    )


def headers_shape(headers: list[Dataset]) -> tuple[int, int, int]:
    """Return slices, rows and columns of images."""
    return len(headers), int(headers[0].Rows), int(headers[0].Columns)


@pytest.mark.parametrize("name", ["frameless", "pixelless"])
def test_what_cannot_be_opened_is_reported(existing: Existing, screen: Screen, name: str) -> None:
    click_on(screen, existing, "ct", name)
    screen.wait("s.notes.some(one => one.bad && one.words.includes('cannot be opened')) && !s.busy")
    screen.page.get_by_role("button", name="Close").click()
