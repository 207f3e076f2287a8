"""The viewer shows what a rendered resource shows: lookup tables, every kind of window, inverse images."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from pydicom.dataset import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, MRImageStorage, generate_uid

from dicomdock import Resource
from dicomdock.origin.rendering import render
from dicomdock.origin.view import View
from tests.builders import Made, composite
from tests.builders import made as encoded
from tests.imaging.scans import put_pixels, scan
from tests.imaging.test_presentation import table
from tests.origin.test_overlays import put
from tests.viewer.conftest import Opened, Screen, folders, store, viewing
from tests.viewer.pictures import difference

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

AFFINE = np.array([[0, 0, 1.0, -32], [0, 1.0, 0, -40], [2, 0, 0, 10], [0, 0, 0, 1.0]])
ALIKE = 2.5  # of 255, as a mean; the browser scales the picture, and JPEG is in between
STUDY = str(generate_uid())

S_SHAPED = np.rint(4095 / (1 + np.exp(-(np.arange(4000) - 1500) / 250)))
HEADERS: dict[str, dict[str, object]] = {
    "linear": {"WindowCenter": 1500, "WindowWidth": 1800},
    "narrow": {"WindowCenter": 1500, "WindowWidth": 3},
    "exact": {"WindowCenter": 1500, "WindowWidth": 1800, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 1500, "WindowWidth": 1800, "VOILUTFunction": "SIGMOID"},
    "table": {"VOILUTSequence": [table(S_SHAPED, 0, 12)], "WindowCenter": 10, "WindowWidth": 5},
    "falling table": {"VOILUTSequence": [table(S_SHAPED[::-1], 0, 12)]},
    "monochrome1": {"VOILUTSequence": [table(S_SHAPED, 0, 12)], "PhotometricInterpretation": "MONOCHROME1"},
    "inverse": {"WindowCenter": 1500, "WindowWidth": 1800, "PresentationLUTShape": "INVERSE"},
    "modality table": {
        "ModalityLUTSequence": [table(np.arange(4000)[::-1] // 4, 0, 16)],
        "WindowCenter": 500,
        "WindowWidth": 700,
    },
    "no window": {},
    "overlays": {"WindowCenter": 1500, "WindowWidth": 1800},
}
MAMMOGRAMS = {"R MLO": (["P", "FL"], ["P", "A", "FL", "HR"]), "L CC": (["A", "R"], ["A", "P", "R", "L"])}
"""Side and view -> Patient Orientation; letters at the right, left, bottom and top."""


@dataclass
class Shown:
    """The series of the study, each with its instances."""

    series: dict[str, list[Made]]

    def rendered(self, name: str, k: int, folder: Path) -> np.ndarray:
        """Return the grey of a slice as its rendered resource has it."""
        file = folder / "slice.dcm"
        file.write_bytes(self.series[name][k].data)
        return np.asarray(Image.open(io.BytesIO(render(file, 1, View(media_type="image/png")))))


@pytest.fixture(scope="module")
def shown() -> Shown:
    """A slope from 0 to 3000 with a few brighter rows, with each of the headers."""
    k, j, i = np.indices((5, 80, 64))
    values = (30 * j + 10 * i + 20 * k).astype(np.uint16)
    series = {
        name: scan(
            values,
            AFFINE,
            SOPClassUID=MRImageStorage,
            Modality="MR",
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=generate_uid(),
            SeriesDescription=name,
            **attributes,
        )
        for name, attributes in HEADERS.items()
    }
    series["overlays"] = [overlaid(one.dataset) for one in series["overlays"]]
    return Shown(series)


def overlaid(dataset: Dataset) -> Made:
    """Put one overlay beside the pixel data, partly outside of the image, and one into its highest bit."""
    cells = np.frombuffer(dataset.PixelData, "<u2").reshape(80, 64).copy()
    cells[50:60, 5:20] |= 1 << 15
    dataset.PixelData, dataset.BitsStored, dataset.HighBit = cells.tobytes(), 12, 11
    put(dataset, 0x6000, np.ones((30, 12)), origin=[-9, 41])
    put(dataset, 0x6002, None, allocated=16, bit=15)
    return encoded(dataset)


@pytest.fixture(scope="module")
def mammograms() -> dict[str, Made]:
    """A series of one projection for each side and view."""
    made = {}
    for name, (orientation, _) in MAMMOGRAMS.items():
        dataset = composite(
            DigitalMammographyXRayImageStorageForPresentation,
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=generate_uid(),
            Modality="MG",
        )
        put_pixels(dataset, np.arange(4800, dtype=np.uint16).reshape(80, 60))
        dataset.SeriesDescription = "Screening"
        dataset.ImageLaterality, dataset.ViewPosition = name.split()
        dataset.PatientOrientation = orientation
        made[name] = encoded(dataset)
    return made


@pytest.fixture(scope="module")
def opened(
    viewer_installed: None,
    shown: Shown,
    mammograms: dict[str, Made],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Opened]:
    """All of them in a viewer."""
    settings = folders(tmp_path_factory.mktemp("presentation"))
    for instances in (*shown.series.values(), list(mammograms.values())):
        store(settings, instances)
    with viewing(settings, Resource(STUDY), shown.series["linear"][0].series) as found:
        yield found


@pytest.mark.parametrize("name", HEADERS)
def test_the_viewer_shows_what_is_rendered(shown: Shown, screen: Screen, tmp_path: Path, name: str) -> None:
    screen.show(shown.series[name][0].series)
    screen.put("layout", "Axial")
    screen.page.keyboard.press("r")
    at = screen.slice()[0] - 1
    due = shown.rendered(name, at, tmp_path)
    assert due.std() > 20
    seen: list[float] = []

    def alike() -> bool:
        seen.append(difference(screen.pixels(), due.astype(float), (1, 1), (255, 127.5)))
        return seen[-1] < ALIKE

    screen.until(alike, 20, f"differs by {seen[-1:]}")


def test_overlays_can_be_switched_off(shown: Shown, screen: Screen, tmp_path: Path) -> None:
    screen.show(shown.series["overlays"][0].series)
    screen.put("layout", "Axial")
    screen.page.keyboard.press("r")
    plain = shown.rendered("linear", screen.slice()[0] - 1, tmp_path)
    screen.tool("window")
    box = screen.page.get_by_label("Overlays and shutters of the images")
    expect(box).to_be_checked()
    box.uncheck()
    screen.until(lambda: difference(screen.pixels(), plain.astype(float), (1, 1), (255, 127.5)) < ALIKE)
    box.check()
    screen.until(lambda: difference(screen.pixels(), plain.astype(float), (1, 1), (255, 127.5)) > 2 * ALIKE)
    screen.show(shown.series["linear"][0].series)
    screen.tool("window")
    expect(box).to_be_hidden()


def test_the_corner_names_the_table_and_a_window_by_hand_is_a_plain_one(shown: Shown, screen: Screen) -> None:
    def corner() -> str:
        return " ".join(screen.words("br").split())

    screen.show(shown.series["table"][0].series)
    screen.until(lambda: corner().startswith("VOI LUT 1 "))
    assert screen.state("presets")[:2] == ["VOI LUT 1", "Header 2"]
    screen.tool("window")
    screen.page.keyboard.press("2")
    screen.until(lambda: corner() == "W 5 C 10")
    screen.button("width").fill("900")
    screen.button("width").press("Enter")
    screen.until(lambda: corner() == "W 900 C 10")
    screen.page.evaluate("() => document.activeElement.blur()")  # then keys mean presets again
    screen.page.keyboard.press("1")
    screen.until(lambda: corner().startswith("VOI LUT 1 "))
    screen.show(shown.series["sigmoid"][0].series)
    screen.until(lambda: corner() == "W 1800 C 1500 sigmoid")


@pytest.mark.parametrize("name", MAMMOGRAMS)
def test_a_mammogram_shows_its_side_its_view_and_where_its_edges_lead(
    mammograms: dict[str, Made], screen: Screen, name: str
) -> None:
    screen.show(mammograms[name].series)
    screen.put("layout", "Axial")
    screen.until(lambda: screen.words("tl").endswith(f"Screening\n{name}"))
    assert [screen.words(edge) for edge in ("right", "left", "bottom", "top")] == MAMMOGRAMS[name][1]
