"""Segmenting images without a position in the patient, in a browser: drawn, measured, saved, opened again."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from dicomdock.dicom.resource import Resource
from tests.builders import Made, composite, made
from tests.imaging.scans import put_pixels
from tests.viewer.conftest import Opened, Screen, folders, looked_at, store, viewing

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

ROWS, COLUMNS, FRAMES = 60, 80, 5
PIXELS = (10 * np.indices((ROWS, COLUMNS))[0] + np.indices((ROWS, COLUMNS))[1]).astype(np.uint16)
SHOWN = 3  # the frame of the loop that is drawn on


@pytest.fixture(scope="module")
def study() -> dict[str, Made]:
    """A projection with the spacing of its detector, and a loop in colour without calibration."""
    shared = {"StudyInstanceUID": str(generate_uid()), "PatientName": "Doe^Jane", "PatientID": "4711"}
    shot = composite(DigitalXRayImageStorageForPresentation, Modality="DX", **shared)
    shot.SeriesDescription, shot.ImagerPixelSpacing = "Chest", [0.5, 0.5]
    put_pixels(shot, PIXELS)
    loop = composite(UltrasoundMultiFrameImageStorage, Modality="US", **shared)
    loop.SeriesDescription, loop.FrameTime, loop.SeriesNumber = "Loop", "100", 2
    pictures = np.stack([np.full((ROWS, COLUMNS), 20 + 8 * at, np.uint8) for at in range(FRAMES)])
    put_pixels(loop, pictures)
    loop.SamplesPerPixel, loop.PhotometricInterpretation, loop.PlanarConfiguration = 3, "RGB", 0
    loop.PixelData = np.repeat(pictures[..., None], 3, axis=-1).tobytes()
    return {"projection": made(shot), "loop": made(loop)}


def drawn(opened: Opened, before: set[str]) -> np.ndarray:
    """Return the only segment of what was saved since, as highdicom reads it, on each frame of the stack."""
    file = hd.seg.segread(opened.saved_since(before).path)
    assert "FrameOfReferenceUID" not in file
    masks = np.zeros((FRAMES, ROWS, COLUMNS), bool)
    for frame, pixels in zip(
        file.PerFrameFunctionalGroupsSequence, file.pixel_array.reshape(-1, ROWS, COLUMNS), strict=True
    ):
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        masks[source.get("ReferencedFrameNumber", 1) - 1] = pixels
    return masks


def save(opened: Opened, screen: Screen) -> np.ndarray:
    """Save what is drawn, and give it."""
    before = set(opened.made_here())
    screen.button("save-panel").click()
    screen.wait("!s.unsaved && !s.saving")
    return drawn(opened, before)


def stroke(screen: Screen) -> None:
    """Paint from left to right through the middle."""
    screen.button("effect-paint").click()
    screen.wait("s.SegmentEditorState__active_effect_name.endsWith('Paint')")
    x, y = screen.middle()
    screen.drag((x - 100, y), (x + 100, y))
    screen.handled()
    screen.wait("s.unsaved")


def cut(screen: Screen) -> None:
    """Cut the middle out of what is painted."""
    screen.button("effect-scissors").click()
    screen.wait("s.SegmentEditorState__active_effect_name.endsWith('Scissors')")
    x, y = screen.middle()
    screen.drag((x - 30, y - 50), (x + 30, y - 50), (x + 30, y + 50), (x - 30, y + 50), (x - 30, y - 50))
    screen.handled()


def measured(screen: Screen) -> dict[str, str]:
    """Measure, and give the only row of the table by its titles."""
    screen.button("statistics").click()
    screen.wait("s.statistics_rows.length && !s.statistics_busy && !s.statistics_stale")
    (row,) = screen.state("statistics_rows")
    return dict(zip(screen.state("statistics_titles"), row, strict=True))


def test_a_projection_is_segmented_measured_and_opened_again(
    viewer_installed: None, study: dict[str, Made], tmp_path: Path, browser: Browser
) -> None:
    settings, (shot, loop) = folders(tmp_path), study.values()
    store(settings, [shot, loop])
    with viewing(settings, Resource(shot.study, shot.series)) as opened:
        for screen in looked_at(browser, opened.url):
            screen.tool("segment")
            screen.wait("s.drawing_name")
            stroke(screen)
            painted = save(opened, screen)[0]
            cut(screen)
            screen.wait("s.unsaved")
            kept = save(opened, screen)[0]
            assert 0 < kept.sum() < painted.sum() and not (kept & ~painted).any()
            numbers = measured(screen)
            values = PIXELS[kept].astype(float)
            assert float(numbers["Area mm²"]) == pytest.approx(kept.sum() * 0.25, rel=1e-3)
            assert float(numbers["Mean"]) == pytest.approx(values.mean(), rel=1e-3)
            assert "at the detector" in screen.state("statistics_remarks")[0]
            name = screen.state("drawing_uid")
    with viewing(settings, Resource(shot.study, shot.series)) as opened:  # as after a restart
        for screen in looked_at(browser, opened.url):
            screen.open_drawing(name)
            assert float(measured(screen)["Area mm²"]) == pytest.approx(kept.sum() * 0.25, rel=1e-3)


def test_a_loop_in_colour_is_segmented_on_the_image_that_is_shown(
    viewer_installed: None, study: dict[str, Made], tmp_path: Path, browser: Browser
) -> None:
    settings, loop = folders(tmp_path), study["loop"]
    store(settings, [loop])
    with viewing(settings, Resource(loop.study, loop.series)) as opened:
        for screen in looked_at(browser, opened.url):
            screen.tool("segment")
            screen.wait("s.drawing_name && s.unit === 'px'")
            expect(screen.button("effect-threshold")).to_have_count(0)
            for k in (SHOWN, 0):
                screen.put("Red_at", k)
                screen.handled()
                stroke(screen)
            cut(screen)
            masks = save(opened, screen)
            assert masks.any(axis=(1, 2)).tolist() == [k in (0, SHOWN) for k in range(FRAMES)]
            assert masks[0].sum() < masks[SHOWN].sum()  # the scissors left the other image as it was
