"""The segment editor in the words of its user, and the segmentations that its tests begin with."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import Locator, expect

from dicomdock import Archive, Resource, Segmentation, Settings
from tests.viewer.conftest import SHAPE, Opened, Screen

Voxels = dict[str, np.ndarray]

TOOLS = {
    "paint": "Paint",
    "erase": "Erase",
    "scissors": "Scissors",
    "draw": "Draw",
    "operators": "LogicalOperators",
    "threshold": "Threshold",
    "islands": "Islands",
    "smoothing": "Smoothing",
}
"""The end of the name of each tool's effect."""


def box(*ends: tuple[int, int]) -> np.ndarray:
    """Return the voxels (k, j, i) from and up to these ends, the latter ones not included."""
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(*one) for one in ends)] = True
    return mask


def store_segmentation(settings: Settings, series: Resource, name: str, segments: Voxels) -> str:
    """Put a segmentation of a series into the archive; gives the UID of its own series."""
    with Archive.open(settings) as archive:
        masks = np.array(list(segments.values()))
        drawn = Segmentation.from_array(masks, archive.volume(series), names=list(segments), name=name)
        made = drawn.save()
    assert made.series is not None
    return made.series


def coloured(screen: Screen) -> float:
    """Return the part of the axial view that is not grey: what is drawn."""
    pixels = screen.pixels().astype(int)
    return float((pixels.max(axis=2) - pixels.min(axis=2) > 12).mean())


def until_coloured(screen: Screen, *, more: float = -1.0, less: float = 1.0) -> None:
    """Wait until more, or less, than this part of the axial view is drawn on."""
    seen = []

    def holds() -> bool:
        seen.append(coloured(screen))
        return more < seen[-1] < less

    try:
        screen.until(holds)
    except AssertionError as error:
        raise AssertionError(
            f"{seen[-1]:.5f} of the view is coloured, not {more:.5f} to {less:.5f}"
        ) from error


class Editor:
    """The panel of the segment editor.

    Parameters
    ----------
    opened : the study.
    screen : its page.
    starts : the segmentations of the study by name, as UIDs of their series.
    """

    def __init__(self, opened: Opened, screen: Screen, starts: dict[str, str]) -> None:
        self.opened, self.screen, self.page, self.starts = opened, screen, screen.page, starts

    # What a user does

    def open(self, name: str) -> None:
        """Open a segmentation of the list anew; what was drawn before is thrown away."""
        self.screen.open_drawing(self.starts[name])

    def choose(self, name: str) -> None:
        """Make a segment the active one."""
        others = self.row().get_by_role("button", name=name, exact=True)
        self.screen.until(lambda: self.name().input_value() == name or others.count())
        if self.name().input_value() != name:
            others.click()
        expect(self.name()).to_have_value(name)

    def row(self) -> Locator:
        """Find the rows of the list of segments."""
        return self.page.locator(".editor .segment")

    def name(self) -> Locator:
        """Find the name of the active segment."""
        return self.screen.button("structure")

    def tool(self, name: str) -> None:
        """Take a tool, and wait until the viewer has it with its settings."""
        self.screen.button(f"effect-{name}").click()
        self.active(TOOLS[name])

    def active(self, effect: str) -> None:
        """Wait until an effect, by the end of its name, is the one that the mouse works with."""
        self.screen.handled()
        self.screen.wait(f"s.SegmentEditorState__active_effect_name.endsWith('{effect}')")

    def select(self, label: str, option: str) -> None:
        """Choose from a list of the panel."""
        self.page.locator(".editor").get_by_label(label, exact=True).select_option(label=option)

    def number(self, label: str, value: float) -> None:
        """Type a number into a field of the panel."""
        field = self.page.locator(".editor").get_by_label(label, exact=True)
        field.fill(f"{value}")
        field.press("Tab")

    def masking(self) -> Locator:
        """Unfold the settings of where tools may draw."""
        part = self.screen.button("masking")
        if part.get_attribute("open") is None:
            part.locator("summary").click()
        return part

    def slice(self, k: int) -> None:
        """Show a slice of the axial view."""
        self.screen.put("Red_at", k)
        self.page.wait_for_function(
            f"() => document.querySelector('[data-view=Red] .bl').innerText.startsWith('{k + 1} /')"
        )

    def at(self, j: float, i: float) -> tuple[float, float]:
        """Return where the middle of a voxel of the axial slice is on the page; the picture fits its view."""
        view = self.screen.box()
        _, height, width = SHAPE
        pixel = max(height / view["height"], width / view["width"])  # mm; the voxels are 1 mm
        x = view["x"] + view["width"] / 2 + (i - (width - 1) / 2) / pixel
        return x, view["y"] + view["height"] / 2 + (j - (height - 1) / 2) / pixel

    def outline(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        """Click around these voxels of the axial slice, the latter ends not included."""
        self.page.locator(".editor").get_by_role("button", name="Point by point").click()
        (top, bottom), (left, right) = ([end - 0.5 for end in ends] for ends in (rows, columns))
        for corner in ((top, left), (top, right), (bottom, right), (bottom, left)):
            self.page.mouse.click(*self.at(*corner))
        self.page.mouse.click(*self.at(bottom, left), button="right")
        assert not self.screen.state("menu_view"), "the right button ends the outline here"

    def apply(self) -> None:
        """Press Apply, and wait for what is computed."""
        self.page.locator(".editor").get_by_role("button", name="Apply").click()
        self.done()

    def press(self, testid: str) -> None:
        """Press a button of ours, and wait for what is computed."""
        self.screen.button(testid).click()
        self.done()

    def done(self) -> None:
        """Wait until the segments have changed and nothing is computed any more."""
        self.screen.handled()
        self.screen.wait("s.unsaved && !s.busy")

    # What came of it

    def saved(self) -> Voxels:
        """Save, and give the voxels of each segment as they stand in the archive."""
        with Archive.open(self.opened.settings) as archive:
            found = archive.segmentation(self.save())
        return {one.label: one.mask.whole(SHAPE) for one in found.segments}

    def save(self) -> Resource:
        """Save, and tell what was written."""
        self.page.keyboard.press("Control+s")
        self.screen.handled()
        self.screen.wait("!s.unsaved && !s.saving")
        with Archive.open(self.opened.settings) as archive:
            found = [one for one in archive.instances(Resource(self.opened.study)) if one.made_here]
            return max(found, key=lambda one: one.path.stat().st_mtime_ns).resource

    def undone(self, steps: int = 1) -> Voxels:
        """Take back the last steps, and save."""
        return self._again("Control+z", steps)

    def redone(self, steps: int = 1) -> Voxels:
        """Do steps again that were taken back, and save."""
        return self._again("Control+y", steps)

    def _again(self, key: str, steps: int) -> Voxels:
        for _ in range(steps):
            self.page.keyboard.press(key)
        self.screen.handled()
        self.screen.wait("s.unsaved")
        return self.saved()
