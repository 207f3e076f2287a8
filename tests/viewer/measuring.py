"""Measure on the page of a viewer, by clicks and by drags, and save what is measured."""

from __future__ import annotations

from dicomdock.archive import ArchivedInstance
from tests.viewer.conftest import SHAPE, Opened, Screen

Point = tuple[float, float]


def at(screen: Screen, j: float, i: float) -> Point:
    """Return where a voxel's place (row, column) is on the page."""
    box = screen.box()
    scale = max(SHAPE[1] / box["height"], SHAPE[2] / box["width"])  # mm a pixel; voxels are 1 mm
    return (
        box["x"] + box["width"] / 2 + (i + 0.5 - SHAPE[2] / 2) / scale,
        box["y"] + box["height"] / 2 + (j + 0.5 - SHAPE[1] / 2) / scale,
    )


def measure(screen: Screen, kind: str, places: list[Point]) -> dict[str, float]:
    """Measure by clicks; gives the last measurement's numbers by their names."""
    before = len(screen.state("measurements"))
    screen.button(kind).click()
    screen.wait(f"s.measuring === '{kind}'")
    seen = ""
    for number, place in enumerate(places, 1):
        screen.page.mouse.move(*at(screen, *place))
        screen.page.mouse.click(*at(screen, *place))
        if kind == "region" and number > 2:  # the next click, or Escape, comes when this one is there
            screen.until(lambda seen=seen: areas(screen, before) != seen)
            seen = areas(screen, before)
    if kind == "region":
        screen.page.keyboard.press("Escape")
    screen.wait(f"!s.measuring && s.measurements.length === {before + 1}")
    screen.handled()  # the numbers are those of all points, not those of a moment before
    return numbers(screen.state("measurements")[-1]["words"])


def areas(screen: Screen, number: int) -> str:
    """Read the area of a region, empty as long as it has none."""
    found = screen.state("measurements")[number:]
    return found[0]["words"][0] if found else ""


def numbers(words: list[str]) -> dict[str, float]:
    """Take numbers out of words such as ``Length 12.3 mm``."""
    found = {}
    for one in filter(None, words):
        name, number = (
            one.removesuffix(" HU").removesuffix(" mm²").removesuffix(" mm").removesuffix("°").rsplit(" ", 1)
        )
        found[name] = float(number)
    return found


def dragged(screen: Screen, kind: str, *paths: list[Point]) -> dict[str, float]:
    """Measure by drags; gives the last measurement's numbers by their names."""
    before = len(screen.state("measurements"))
    screen.button(kind).click()
    screen.wait(f"s.measuring === '{kind}'")
    for path in paths:
        screen.page.mouse.move(*at(screen, *path[0]))
        screen.page.mouse.down()
        for place in path[1:]:
            screen.page.mouse.move(*at(screen, *place))
            screen.handled()  # the page sends the last of several moves alone
        screen.page.mouse.up()
        screen.handled()
    screen.wait(f"!s.measuring && s.measurements.length === {before + 1}")
    return numbers(screen.state("measurements")[-1]["words"])


def save_report(opened: Opened, panel: Screen) -> ArchivedInstance:
    """Save what is measured, wait until its report is listed, and return it."""
    before = opened.made_here()
    panel.button("save-measurements").click()
    panel.note("measurement report")
    saved = opened.saved_since(before)
    panel.wait(f"s.reports.some(one => one.uid === '{saved.resource.series}')")
    return saved
