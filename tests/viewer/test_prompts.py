"""Prompts for a network: drawn by clicks, sent in their order, each one step; no work is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from playwright.sync_api import expect

from dicomdock.config.trust import TrustStore
from dicomdock.dicom.resource import Resource
from tests.viewer.conftest import Opened, Screen, folders, made_study, phantom, store, viewing
from tests.viewer.editing import Editor, Voxels, box, store_segmentation

pytest.importorskip("nnInteractive", reason="dicomdock[nninteractive] is not installed")

from tests.servers.nninteractive import RegionGrowing, grown, region_growing

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

BRIGHT = phantom() == 280
BELOW = box((8, 12), (30, 50), (30, 60))
"""Another segment, which shares voxels with the bright box."""
START = {"A": np.zeros_like(BRIGHT), "B": BELOW}
IN = (30, 46)  # row and column of a voxel of the bright box; its slices are 8 to 15
OUT = (50, 10)


@pytest.fixture(scope="module")
def opened(viewer_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The phantom."""
    settings = folders(tmp_path_factory.mktemp("prompts"))
    study, series, instances = made_study()
    store(settings, instances)
    with viewing(settings, Resource(study, series)) as found:
        yield found


@pytest.fixture
def editor(opened: Opened, screen: Screen) -> Editor:
    """The panel, with an empty segment A and a segment B."""
    series = Resource(opened.study, opened.series)
    starts = {"start": store_segmentation(opened.settings, series, "start", START)}
    made = Editor(opened, screen, starts)
    screen.page.reload()
    screen.wait("s.complete")
    made.open("start")
    made.slice(12)
    return made


def same(found: Voxels, **expected: np.ndarray) -> None:
    for name, mask in expected.items():
        assert (found[name] ^ mask).sum() == 0, f"{name}: {found[name].sum()}, not {mask.sum()}"


def point(editor: Editor, place: tuple[int, int]) -> None:
    if editor.screen.state("prompt_placing") != "point":
        editor.screen.button("prompt-point").click()
        editor.screen.wait("s.prompt_placing === 'point'")
    editor.page.mouse.move(*editor.at(*place))
    editor.page.mouse.click(*editor.at(*place))


def draw(editor: Editor, *places: tuple[int, int]) -> None:
    """Drag from place to place."""
    editor.page.mouse.move(*editor.at(*places[0]))
    editor.page.mouse.down()
    for place in places[1:]:
        editor.page.mouse.move(*editor.at(*place), steps=6)
        editor.screen.handled()  # the page sends the last of several moves alone
    editor.page.mouse.up()
    editor.screen.handled()


def sent(editor: Editor, growing: RegionGrowing, kind: str, count: int) -> None:
    """Wait until the server has had so many prompts of a kind, and their results are in the segments."""
    editor.screen.until(lambda: growing.steps.count(kind) == count)
    editor.done()


def answered(editor: Editor, growing: RegionGrowing, count: int) -> None:
    """Wait until so many prompts were answered, and their results are in the segments."""
    editor.screen.until(lambda: sum(one.startswith("add_") for one in growing.steps) >= count)
    editor.done()


def test_prompts_segment_one_step_each(editor: Editor, opened: Opened) -> None:
    screen, page = editor.screen, editor.page
    expect(screen.button("prompt-missing")).to_contain_text("'dicomdock tool nninteractive https://")
    expect(screen.button("prompt-point")).to_have_count(0)
    opened.settings.change(nninteractive="https://gpu.invalid")
    expect(screen.button("prompt-server")).to_have_text("https://gpu.invalid")
    screen.button("prompt-point").click()
    question = screen.button("prompt-question")
    expect(question).to_contain_text("sent to https://gpu.invalid. They leave this machine")
    screen.button("prompt-refuse").click()
    expect(question).to_have_count(0)
    assert screen.state("prompt_placing") == ""
    assert not TrustStore.for_pixels(opened.settings).origins()

    with region_growing() as (server, growing):
        opened.settings.change(nninteractive=server.url)
        screen.note(f"Prompts go to {server.url} from now on, no longer to https://gpu.invalid.")
        expect(screen.button("prompt-server")).to_have_text(server.url)
        point(editor, IN)
        answered(editor, growing, 1)
        both = {"A": BRIGHT, "B": BELOW & ~BRIGHT}  # it overwrites others, unless told not to
        same(editor.saved(), **both)
        same(editor.undone(), **START)
        same(editor.redone(), **both)

        screen.button("prompt-negative").click()
        point(editor, (31, 47))
        answered(editor, growing, 2)
        after = {"A": START["A"], "B": BELOW & ~BRIGHT}
        same(editor.saved(), **after)
        same(editor.undone(), **both)

        # What was undone here is undone there as well, before the next prompt.
        screen.button("prompt-box").click()
        for corner in ((25, 40), (30, 50)):
            page.mouse.move(*editor.at(*corner))
            page.mouse.click(*editor.at(*corner))
        answered(editor, growing, 3)
        assert growing.steps[-2:] == ["undo", "add_bbox"]
        within = box((0, 24), (25, 31), (40, 51))  # the region grows within the box on each slice
        same(editor.saved(), A=BRIGHT & ~within, B=BELOW & ~BRIGHT)
        screen.button("prompt-positive").click()

        # What was drawn by hand meanwhile is sent, and stays.
        page.keyboard.press("Escape")
        screen.brush()
        screen.drag(editor.at(*OUT), editor.at(OUT[0], OUT[1] + 6))
        screen.wait("s.unsaved")
        page.keyboard.press("Escape")
        painted = editor.saved()["A"] & ~BRIGHT
        assert painted.any()
        screen.button("prompt-lasso").click()
        screen.wait("s.prompt_placing === 'lasso'")
        for corner in ((22, 38), (22, 44), (30, 44), (30, 38)):
            page.mouse.move(*editor.at(*corner))
            page.mouse.click(*editor.at(*corner))
        screen.button("prompt-done").click()
        answered(editor, growing, 4)
        assert growing.steps[-2:] == ["add_initial_seg", "add_lasso"]
        lasso = growing.target != 0
        assert (lasso & within & BRIGHT).any() and (lasso & painted).sum() == painted.sum()
        same(editor.saved(), A=lasso)

        screen.button("prompt-negative").click()
        screen.button("prompt-scribble").click()
        screen.wait("s.prompt_placing === 'scribble'")
        for place in ((22, 38), (30, 44), (34, 50)):
            page.mouse.move(*editor.at(*place))
            page.mouse.click(*editor.at(*place))
        page.keyboard.press("Escape")
        answered(editor, growing, 5)
        same(editor.saved(), A=painted)
        screen.button("prompt-positive").click()

        # Drawn by drags, one after the other; each is sent as soon as the button is let go.
        screen.button("prompt-lasso").click()
        screen.wait("s.prompt_placing === 'lasso'")
        draw(editor, (22, 38), (22, 44), (30, 44), (30, 38), (23, 38))
        sent(editor, growing, "add_lasso", 2)
        within = growing.drawn[-1]
        assert within[12, 24:29, 40:43].all() and within.sum() == pytest.approx(9 * 7, abs=20)
        same(editor.saved(), A=growing.target != 0)
        screen.button("prompt-scribble").click()
        screen.wait("s.prompt_placing === 'scribble'")
        draw(editor, (32, 36), (32, 44), (36, 44))
        sent(editor, growing, "add_scribble", 2)
        line = growing.drawn[-1]
        assert line[12, 32, 37:44].all() and line[12, 33:36, 44].all() and line.sum() < 20
        draw(editor, (50, 10), (50, 18))
        sent(editor, growing, "add_scribble", 3)
        screen.button("prompt-box").click()
        screen.wait("s.prompt_placing === 'box'")
        draw(editor, (25, 40), (30, 50))
        sent(editor, growing, "add_bbox", 2)
        page.keyboard.press("Escape")
        assert growing.steps.count("set_image") == 1
        np.testing.assert_array_equal(growing.image, phantom())


def test_prompts_wait_are_stopped_and_lose_nothing(editor: Editor, opened: Opened) -> None:
    screen = editor.screen
    with ExitStack() as stack:
        server, growing = stack.enter_context(region_growing())
        opened.settings.change(nninteractive=server.url)
        growing.hold.clear()
        point(editor, IN)
        screen.until(lambda: "add_point" in growing.steps)
        point(editor, OUT)
        screen.wait("s.busy.includes('1 waiting')")
        growing.hold.set()
        answered(editor, growing, 2)
        region = grown(phantom(), (12, *OUT))
        assert not (region & BRIGHT).any()
        before = editor.saved()
        same(before, A=BRIGHT | region)

        growing.hold.clear()
        screen.button("prompt-negative").click()
        point(editor, IN)
        screen.until(lambda: growing.steps.count("add_point") == 3)
        screen.button("stop-computing").click()
        screen.note("The prompt was stopped. Nothing was changed.")
        screen.wait("!s.busy && !s.unsaved")
        screen.until(lambda: not growing.lease)  # the server has its session back
        growing.hold.set()

        growing.spoil = lambda _server, answer: type(answer)(500, b"out of memory")
        point(editor, IN)
        screen.note("answered with status 500. Nothing was changed.")
        growing.spoil = None
    point(editor, IN)
    screen.note("cannot be reached, or has gone away. Nothing was changed.")
    assert not screen.state("unsaved")
    screen.page.keyboard.press("Escape")
