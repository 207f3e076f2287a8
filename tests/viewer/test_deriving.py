"""New images and measurements, made in the viewer, kept as DICOM and sent like everything else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from pydicom import Dataset, dcmread

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.imaging.volume import Volume
from tests.dock.using import introduce
from tests.imaging.scans import check_with_dciodvfy
from tests.servers.orthanc import Orthanc
from tests.viewer.conftest import (
    AFFINE,
    BOX,
    SHAPE,
    Opened,
    Screen,
    folders,
    looked_at,
    made_study,
    phantom,
    segmented_box,
    store,
    viewing,
)

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

CT = {
    "RescaleSlope": "1",
    "RescaleIntercept": "0",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "KVP": "120",
}
AIR = -1024
MARGIN = 5  # voxels around a segment that is cropped to


@dataclass
class Bench:
    """The phantom and a segmented box in it, in a viewer."""

    opened: Opened
    drawing: str
    frame: str

    def since(self, before: Collection[str]) -> list[Dataset]:
        """Return the instances that were saved since ``made_here`` gave these, in slice order."""
        made = self.opened.made_here()
        read = [dcmread(one.path) for uid, one in made.items() if uid not in before]
        return sorted(read, key=lambda one: int(one.InstanceNumber))

    def volume(self, instances: list[Dataset]) -> Volume:
        """Read a derived series as a volume."""
        assert instances
        with Archive.open(self.opened.settings) as archive:
            series = Resource(self.opened.study, instances[0].SeriesInstanceUID)
            return Volume.from_instances([one.path.read_bytes() for one in archive.instances(series)])


@pytest.fixture(scope="module")
def bench(viewer_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Open the segmented box, which shows the phantom with it."""
    settings = folders(tmp_path_factory.mktemp("deriving"))
    study, series, instances = made_study(**CT)
    drawn = segmented_box(instances)
    store(settings, [*instances, drawn], origin="orthanc")
    with viewing(settings, Resource(study, drawn.series), series) as opened:
        yield Bench(opened, drawn.series, str(instances[0].dataset.FrameOfReferenceUID))


@pytest.fixture
def screen(bench: Bench, browser: Browser) -> Iterator[Screen]:
    """The viewer's page, with the phantom shown and the box open."""
    for screen in looked_at(browser, bench.opened.url):
        screen.reset(bench.opened)
        screen.open_drawing(bench.drawing)
        yield screen


def make(bench: Bench, screen: Screen, kind: str) -> list[Dataset]:
    """Make new images, wait until they are listed, and return them."""
    before = bench.opened.made_here()
    screen.tool("derive")
    screen.button(f"derive-{kind}").click()
    screen.note("images were made")
    made = bench.since(before)
    assert len({one.SeriesInstanceUID for one in made}) == 1
    screen.wait(f"s.series_list.some(one => one.uid === '{made[0].SeriesInstanceUID}') && !s.deriving")
    return made


def is_derived(bench: Bench, made: list[Dataset], folder: Path) -> None:
    """Check what every derived series says of itself."""
    check_with_dciodvfy(Path(made[0].filename).read_bytes(), folder)
    assert len({one.SOPInstanceUID for one in made}) == len(made)
    for one in made:
        assert list(one.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert one.DerivationDescription
        assert one.FrameOfReferenceUID == bench.frame
        assert one.StudyInstanceUID == bench.opened.study
        assert one.SeriesInstanceUID != bench.opened.series
        assert one.PatientID == "4711"
        assert one.SourceImageSequence


def blurred(values: np.ndarray, width: tuple[float, ...]) -> np.ndarray:
    """Blur with a Gaussian of so many voxels along each axis, the plain way."""
    for axis, sigma in enumerate(width):
        reach = min(int(np.ceil(3 * sigma)), values.shape[axis] - 1)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        kernel /= kernel.sum()
        values = np.apply_along_axis(
            lambda line, k=kernel, r=reach: np.convolve(np.pad(line, r, mode="edge"), k, "valid"),
            axis,
            values,
        )
    return values


def test_smoothed_images_are_what_a_gaussian_makes(bench: Bench, screen: Screen, tmp_path: Path) -> None:
    made = make(bench, screen, "smooth")
    assert "Gaussian blur" in made[0].SeriesDescription
    is_derived(bench, made, tmp_path)
    volume = bench.volume(made)
    assert np.allclose(volume.geometry.affine, AFFINE)
    due = blurred(phantom().astype(float), (0.5, 1.0, 1.0))  # 1 mm
    assert np.abs(volume.array - due).max() <= 0.51
    each = [one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in made]
    assert len(set(each)) == SHAPE[0]


def test_resampled_images_lie_in_the_same_room(bench: Bench, screen: Screen, tmp_path: Path) -> None:
    made = make(bench, screen, "resample")
    assert "Resampled" in made[0].SeriesDescription
    is_derived(bench, made, tmp_path)
    volume = bench.volume(made)
    assert volume.geometry.shape == (2 * SHAPE[0], *SHAPE[1:])
    assert np.allclose(volume.geometry.spacing, 1)
    # Between two slices of the ramp lies their mean, in quarters, away from the box and the edges.
    ramp = phantom().astype(float)
    quarter = 0.75 * ramp[2:5, 50:70, 5:30] + 0.25 * ramp[3:6, 50:70, 5:30]
    assert np.abs(volume.array[5:11:2, 50:70, 5:30] - quarter).max() <= 0.51


def test_masked_and_cropped_images_follow_the_segment(bench: Bench, screen: Screen, tmp_path: Path) -> None:
    made = make(bench, screen, "mask")
    assert "Blanked outside" in made[0].SeriesDescription
    is_derived(bench, made, tmp_path)
    due = np.full(SHAPE, AIR)
    due[BOX] = phantom()[BOX]
    assert np.array_equal(bench.volume(made).array, due)

    made = make(bench, screen, "crop")
    assert "Cropped" in made[0].SeriesDescription
    is_derived(bench, made, tmp_path)
    around = tuple(
        slice(max(one.start - MARGIN, 0), min(one.stop + MARGIN, size))
        for one, size in zip(BOX, SHAPE, strict=True)
    )
    volume = bench.volume(made)
    assert np.array_equal(volume.array, phantom()[around])
    assert np.allclose(volume.geometry.to_lps([0, 0, 0]), (AFFINE @ [*(one.start for one in around), 1])[:3])

    screen.show(made[0].SeriesInstanceUID)
    screen.page.wait_for_function(
        f"() => document.querySelector('[data-view=Red] .bl').innerText.includes('/ {len(made)}')"
    )


def test_measurements_and_derived_images_are_sent_like_everything_else(
    bench: Bench, screen: Screen, orthanc: Orthanc, tmp_path: Path
) -> None:
    introduce(bench.opened.settings, orthanc, "orthanc")
    make(bench, screen, "smooth")
    before = bench.opened.made_here()
    screen.measure_distance()
    screen.button("save-measurements").click()
    screen.note("measurement report")
    (report,) = bench.since(before)
    assert report.SeriesDescription.startswith("Measurements")
    check_with_dciodvfy(Path(report.filename).read_bytes(), tmp_path)
    screen.button("send").click()
    screen.button("send-now").click()
    expect(screen.button("send-words")).to_have_text(re.compile(r"(\d+) of \1 are on orthanc\."))
    count = int(screen.button("send-words").inner_text().split()[0])
    assert count > SHAPE[0], "these images and the report, and what earlier tests have not sent"
    answers = screen.button("send-answers").locator("summary")
    expect(answers.filter(has_text="Gaussian blur").first).to_contain_text(re.compile(r"\d stored"))
    expect(answers.filter(has_text="Measurements").first).to_contain_text("stored")
    screen.button("send-close").click()
    assert orthanc.instance_count() == count
