"""What is drawn is kept: of several series, after undo, past a full disk and a viewer that is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from dicomdock.dicom.resource import Resource
from dicomdock.viewer.autosave import AUTOSAVE_SECONDS, UnsavedWork
from tests.imaging.scans import scan
from tests.viewer.conftest import (
    AFFINE,
    SHAPE,
    Opened,
    Screen,
    folders,
    looked_at,
    made_study,
    phantom,
    store,
    viewing,
)
from tests.viewer.editing import Editor, until_coloured

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

LOST = 10.0  # seconds of work that may be lost


@pytest.fixture
def opened(viewer_installed: None, tmp_path: Path) -> Iterator[Opened]:
    """Two series of the phantom in a viewer."""
    settings = folders(tmp_path)
    study, series, instances = made_study()
    like = instances[0].dataset
    others = scan(
        phantom(),
        AFFINE,
        PatientID=like.PatientID,
        StudyInstanceUID=study,
        FrameOfReferenceUID=like.FrameOfReferenceUID,
        SeriesDescription="Other",
    )
    store(settings, [*instances, *others])
    with viewing(settings, Resource(study, series)) as found:
        yield found


@pytest.fixture
def screen(opened: Opened, browser: Browser) -> Iterator[Screen]:
    """Its page, which outlives it."""
    yield from looked_at(browser, opened.url, falls=True)


def show(screen: Screen, series: str) -> None:
    """Show a series, and the tool for drawing."""
    screen.show(series)
    screen.tool("segment")


def stroke(editor: Editor, j: int) -> None:
    """Paint from left to right on a row of the slice, and put the brush away."""
    editor.screen.brush()
    editor.screen.drag(editor.at(j, 20), editor.at(j, 40))
    editor.screen.wait("s.unsaved")
    editor.page.keyboard.press("Escape")


def alone(screen: Screen) -> None:
    """Show the axial view alone."""
    screen.put("layout", "Axial")
    screen.page.wait_for_function(
        "() => document.querySelector('[data-view=Red]').getBoundingClientRect().width > 600"
    )
    screen.drawn("Red")


def on_disk(opened: Opened, series: str, j: int) -> bool:
    """Return whether a row that was painted lies on disk for a series."""
    found = UnsavedWork(opened.settings, opened.study).read_segmentations(series)
    return any(painted(one.mask.whole(SHAPE), j) for work in found for one in work.segments)


def test_unsaved_work_is_looked_for_often_enough() -> None:
    assert 2 * AUTOSAVE_SECONDS < LOST


def test_no_more_than_ten_seconds_of_work_are_lost(opened: Opened, screen: Screen) -> None:
    editor = Editor(opened, screen, {})
    other = next(one["uid"] for one in screen.state("series_list") if one["uid"] != opened.series)
    screen.button("tool-segment").click()
    alone(screen)
    unsaved = opened.settings.state / "unsaved"
    stroke(editor, 20)
    screen.until(lambda: on_disk(opened, opened.series, 20), words="the first stroke is not kept")
    (kept,) = unsaved.glob("*/*.seg")

    if Path("/dev/full").exists():
        full = kept.with_name(f"{kept.name}.new")
        full.symlink_to("/dev/full")
        stroke(editor, 40)
        screen.note("cannot be autosaved (No space left on device)")
        show(screen, other)
        show(screen, opened.series)  # what the disk would not take is still here
        screen.wait("s.unsaved")
        until_coloured(screen, more=0.01)
        full.unlink()
        screen.until(
            lambda: on_disk(opened, opened.series, 40), words="what a full disk refused is not written later"
        )

    stroke(editor, 60)
    screen.until(lambda: on_disk(opened, opened.series, 60), words="further strokes are not kept")
    screen.page.keyboard.press("Control+z")
    screen.until(lambda: not on_disk(opened, opened.series, 60), words="what was undone is still kept")

    show(screen, other)
    stroke(editor, 50)
    screen.until(lambda: on_disk(opened, other, 50), words="the other series is not kept")

    screen.outlive(opened, seen=False)

    show(screen, opened.series)
    screen.wait("s.unsaved")
    until_coloured(screen, more=0.005)
    (drawn,) = editor.saved().values()
    assert painted(drawn, 20) and not painted(drawn, 60)
    show(screen, other)
    screen.wait("s.unsaved")
    (drawn,) = editor.saved().values()
    assert painted(drawn, 50) and not painted(drawn, 20)
    assert not list(unsaved.glob("*/*.seg")), "what was saved need not be kept"


def test_work_on_several_volumes_and_on_fewer_images_is_lost_by_neither(
    viewer_installed: None, tmp_path: Path, browser: Browser
) -> None:
    settings = folders(tmp_path)
    study, series, fine = made_study()
    like = fine[0].dataset
    shared = {
        "PatientID": like.PatientID,
        "StudyInstanceUID": study,
        "FrameOfReferenceUID": like.FrameOfReferenceUID,
    }
    twice = AFFINE @ np.diag([1.0, 2, 2, 1])
    coarse = scan(phantom()[:8, ::2, ::2], twice, SeriesInstanceUID=series, **shared)
    store(settings, [*fine[:-3], *coarse])
    with viewing(settings, Resource(study, series)) as opened:
        pages = looked_at(browser, opened.url)
        screen = next(pages)
        editor = Editor(opened, screen, {})
        work = UnsavedWork(settings, study)

        def drawn() -> dict[tuple[int, ...], int]:
            found = work.read_segmentations(series)
            return {one.geometry.shape: sum(part.mask.count for part in one.segments) for one in found}

        show(screen, series)
        alone(screen)
        stroke(editor, 20)
        choose_volume(screen, 1)
        screen.wait("!s.unsaved")
        ((few, count),) = drawn().items()
        assert few == (SHAPE[0] - 3, *SHAPE[1:])
        assert count > 0
        screen.tool("segment")
        stroke(editor, 40)
        choose_volume(screen, 0)
        screen.until(lambda: len(drawn()) == 2)
        (second,) = drawn().keys() - {few}
        until_coloured(screen, more=0.001)
        assert drawn()[few] == count
        assert drawn()[second] > 0

        later = scan(phantom(), AFFINE, SeriesDescription="Later", **shared)
        store(settings, [*fine[-3:], *later])
        screen.page.reload()
        screen.note("More images of this series have arrived")
        screen.wait(f"s.series_list.some(one => one.uid === '{later[0].series}')")
        screen.show(series)
        screen.until(lambda: set(drawn()) == {SHAPE, second})
        assert drawn()[SHAPE] == count
        screen.wait("s.unsaved")
        assert next(pages, None) is None


def choose_volume(screen: Screen, at: int) -> None:
    """Show another volume of the series."""
    screen.tool("series")
    screen.page.get_by_label("Volume", exact=True).select_option(str(at))
    screen.handled()
    screen.wait(f"s.volume_at === {at} && s.complete")


def painted(drawn: np.ndarray, j: int) -> bool:
    """Return whether a row was painted on some slice."""
    return bool(drawn[:, j, 20:41].all(axis=1).any())
