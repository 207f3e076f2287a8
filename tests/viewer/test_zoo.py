"""Every kind of image that is met with, in a real browser: a picture, or a sentence that says why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from playwright.sync_api import Browser, expect
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array
from pydicom.uid import JPEGExtended12Bit, generate_uid

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.sop_classes import kind_of
from tests.conftest import PROJECT
from tests.viewer.conftest import Opened, Screen, folders, looked_at, viewing
from tests.viewer.oddities import oddities
from tests.viewer.pictures import difference, oriented, view_of

pytestmark = [
    pytest.mark.viewer,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # real files break rules; pydicom says so
]

ALIKE = 8.0
"""Mean difference, of 255, below which a view shows what numpy draws: JPEG and edges make 1 to 2, noise 7."""

OF_PYDICOM = (
    "examples_jpeg2k.dcm",
    "examples_overlay.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "693_J2KI.dcm",
    "JPEG-lossy.dcm",
    "JPGExtended.dcm",
    "JPEGLSNearLossless_16.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_padded.dcm",
    "MR_truncated.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_jpeg_app14_dcmd.dcm",
    "SC_rgb_rle_16bit.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "emri_small_jpeg_ls_lossless.dcm",
    "rtdose_rle.dcm",
)


@dataclass
class Series:
    """A series of the zoo.

    Parameters
    ----------
    name : for the list of what went wrong.
    uid : Series Instance UID.
    instances : as they were given, without what only the archive knows.
    """

    name: str
    uid: str
    instances: list[Dataset] = field(default_factory=list)


@dataclass(frozen=True)
class Frame:
    """A frame as pydicom reads it: values or colours, and where it lies, if anywhere."""

    values: np.ndarray
    spacing: tuple[float, float]
    origin: Sequence[float] = ()
    directions: Sequence[float] = ()
    inverted: bool = False
    linear: bool = False


class Zoo:
    """Series of all sources in one study, so that one viewer shows them all."""

    def __init__(self, folder: Path, study: str) -> None:
        self.folder, self.study = folder, study
        self.groups: dict[str, list[Series]] = {"real": [], "pydicom": [], "made": []}
        self._seen: set[str] = set()
        shared = PROJECT.parent / "shared" / "data" / "zoo"
        for path in sorted(shared.rglob("*")) if shared.exists() else ():
            if path.is_file() and path.suffix != ".zip":
                alone = path.parent.name == "transfer-syntaxes"
                self._add("real", str(path.relative_to(shared)), dcmread(path), alone=alone)
        own = Path(pydicom.data.__file__).parent / "test_files"
        for name in OF_PYDICOM:
            if (own / name).exists():  # some come with the package pydicom-data only
                self._add("pydicom", name, dcmread(own / name), alone=True)
        for name, datasets in oddities(study).items():
            for dataset in datasets:
                self._add("made", name, dataset)

    def _add(self, group: str, name: str, dataset: Dataset, *, alone: bool = False) -> None:
        dataset.StudyInstanceUID = self.study
        if alone or str(dataset.SOPInstanceUID) in self._seen:
            dataset.SeriesInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        self._seen.add(str(dataset.SOPInstanceUID))
        dataset.SeriesDescription = name[-60:]
        dataset.save_as(self.folder / f"{len(self._seen):03}.dcm")
        uid = str(dataset.SeriesInstanceUID)
        series = next((one for one in self.groups[group] if one.uid == uid), None)
        if series is None:
            series = Series(name, uid)
            self.groups[group].append(series)
        series.instances.append(dataset)

    def images(self, group: str) -> list[Series]:
        """Return the series of a group that the list of the viewer offers."""
        return [one for one in self.groups[group] if kind_of(str(one.instances[0].SOPClassUID)) == "image"]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """All series, as files of one study."""
    return Zoo(tmp_path_factory.mktemp("zoo"), str(generate_uid()))


@pytest.fixture(scope="module")
def opened(viewer_installed: None, zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The zoo in one viewer."""
    settings = folders(tmp_path_factory.mktemp("viewer"))
    with Archive.open(settings) as archive:
        *_, report = archive.import_paths([zoo.folder])
    assert not report.failed, report.failed
    with viewing(settings, Resource(zoo.study, zoo.images("made")[0].uid)) as found:
        yield found


@pytest.fixture(scope="module")
def page(opened: Opened, browser: Browser) -> Iterator[Screen]:
    """A page in which images of a thousand rows are drawn alike by numpy: few of their rows are left out."""
    yield from looked_at(browser, opened.url, size={"width": 1280, "height": 800})


def frames_of(dataset: Dataset) -> list[Frame]:
    """Read an instance's frames with pydicom alone."""
    if dataset.file_meta.TransferSyntaxUID in ("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"):
        dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit  # retired UIDs of what its codec reads
    array = pixel_array(dataset)
    count = int(dataset.get("NumberOfFrames") or 1)
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        array = apply_color_lut(array, dataset)
        array = (array >> 8 if array.max() > 255 else array).astype(np.uint8)
    elif dataset.SamplesPerPixel == 3 and array.dtype != np.uint8:
        array = (array >> (dataset.BitsStored - 8)).astype(np.uint8)
    frames = array if count > 1 else array[None]
    return [frame_of(dataset, at, values) for at, values in enumerate(frames)]


def frame_of(dataset: Dataset, at: int, values: np.ndarray) -> Frame:
    """Read where a frame lies and what its values are."""
    shared, own = Dataset(), Dataset()
    if "PerFrameFunctionalGroupsSequence" in dataset:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        own = dataset.PerFrameFunctionalGroupsSequence[at]

    def group(keyword: str) -> Dataset:
        found = own.get(keyword) or shared.get(keyword)
        return found[0] if found else dataset

    transform = group("PixelValueTransformationSequence")
    if "DoseGridScaling" in dataset:
        values = values * float(dataset.DoseGridScaling)
    elif values.ndim == 2:
        values = apply_modality_lut(values, transform)
    measures = group("PixelMeasuresSequence")
    spacing = measures.get("PixelSpacing") or measures.get("ImagerPixelSpacing") or (1.0, 1.0)
    origin = group("PlanePositionSequence").get("ImagePositionPatient") or ()
    directions = group("PlaneOrientationSequence").get("ImageOrientationPatient") or ()
    if "GridFrameOffsetVector" in dataset:
        origin = np.cross(directions[:3], directions[3:]) * dataset.GridFrameOffsetVector[at] + origin
    return Frame(
        values,
        (float(spacing[0]), float(spacing[1])),
        tuple(origin),
        tuple(directions),
        dataset.PhotometricInterpretation == "MONOCHROME1",
        "WindowWidth" in group("FrameVOILUTSequence") or "WindowWidth" in dataset,
    )


def show(screen: Screen, series: Series) -> str:
    """Choose a series in the list; gives the sentence that is shown where no picture can be."""
    screen.show(series.uid, "s.complete || s.empty_title.includes('cannot')")
    return f"{screen.state('empty_title')} {screen.state('empty_words')}".strip()


def unlike(screen: Screen, series: Series) -> str:
    """Say how the shown picture differs from what pydicom reads; empty where it does not."""
    frames = [frame for dataset in series.instances for frame in frames_of(dataset)]
    placed = bool(frames[0].origin) and bool(frames[0].directions)
    view = view_of(frames[0].directions[:3], frames[0].directions[3:]) if placed else "Red"
    seen = screen.pixels(view)
    at = int(screen.state(f"{view}_at"))
    shown = frames if placed or len(frames) <= at else [frames[at]]
    window = (float(screen.state("window_width")), float(screen.state("window_centre")))
    least = np.inf
    for frame in shown:
        pixels, spacing = frame.values, frame.spacing
        if placed:
            if not here(frame, screen.words("bl", view)):
                continue
            pixels = oriented(pixels, frame.directions[:3], frame.directions[3:], view)
        width, centre = window
        # A LINEAR window has its middle half a value lower, and is one value narrower (PS3.3 C.11.2.1.2.1).
        ends = (max(width - 1, 1e-6), centre - 0.5) if frame.linear else window
        least = min(least, difference(seen, pixels, spacing, ends, inverted=frame.inverted))
    return "" if least < ALIKE else f"differs by {least:.1f} in {view}"


def here(frame: Frame, words: str) -> bool:
    """Return whether a frame lies where a view says that it is, along the frame's normal."""
    found = re.search(r"(-?[\d.]+) mm", words)
    if found is None:
        return True
    depth = float(np.dot(np.cross(frame.directions[:3], frame.directions[3:]), frame.origin))
    return abs(abs(depth) - abs(float(found[1]))) < 0.6


@pytest.mark.parametrize("group", ["real", "pydicom", "made"])
def test_each_series_is_a_picture_as_numpy_draws_it_or_a_sentence(
    group: str, zoo: Zoo, opened: Opened, screen: Screen
) -> None:
    series = zoo.images(group)
    if not series:
        pytest.skip("Real sample data are not here")
    before = opened.pid
    wrong = {}
    for one in series:
        words = show(screen, one)
        try:
            readable = bool(frames_of(one.instances[0]))
        except (AttributeError, ValueError, RuntimeError, NotImplementedError) as error:
            readable = False
            if len(words) < 30:
                wrong[one.name] = f"shows something where pydicom fails ({error}): {words!r}"
        if readable:
            why = words or unlike(screen, one)
            if why:
                wrong[one.name] = why
    assert not wrong, "\n".join(f"{name}: {why}" for name, why in wrong.items())
    assert opened.pid == before


def test_each_segmentation_and_structure_set_is_drawn(zoo: Zoo, screen: Screen) -> None:
    """Overlapping, sparse and labelmap segmentations; structure sets that refer to what is not there."""
    if not zoo.images("real"):
        pytest.skip("Real sample data are not here")
    due = {one.uid: parts_of(one.instances[0]) for one in zoo.groups["real"] if parts_of(one.instances[0])}
    drawn = set()
    for series in zoo.images("real"):
        if not series.name.startswith(("rtstruct/mock", "seg-sr-pm/segmentations")):
            continue
        show(screen, series)
        screen.tool("segment")
        for drawing in screen.state("drawings"):
            screen.button(f"drawing-{drawing['uid']}").click()
            screen.wait(f"s.drawing_uid === '{drawing['uid']}'")
            expect(screen.page.locator(".editor .segment")).to_have_count(due[drawing["uid"]])
            drawn.add(drawing["uid"])
    assert len(drawn) > 8


def parts_of(dataset: Dataset) -> int:
    """Count the segments or structures of an instance; the background of a label map is none."""
    names = [one.SegmentLabel for one in dataset.get("SegmentSequence", ())]
    return len([one for one in names if one != "Background"]) or len(
        dataset.get("StructureSetROISequence", ())
    )


def test_the_volume_of_a_series_that_is_chosen_is_shown(zoo: Zoo, screen: Screen) -> None:
    series = next(one for one in zoo.images("made") if one.name == "two echoes")
    show(screen, series)
    for at, echo_time in ((1, 80), (0, 10)):
        screen.page.get_by_label("Volume", exact=True).select_option(str(at))
        screen.handled()
        screen.wait(f"s.volume_at === {at} && s.complete")
        echo = [one for one in series.instances if one.EchoTime == echo_time]
        assert not unlike(screen, Series(series.name, series.uid, echo))
