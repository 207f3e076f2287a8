"""A presentation state of the study on its images, in a real browser: DCMTK's greys, turned by numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.geometry import Window
from dicomdock.imaging.presentation_state import (
    Area,
    Frame,
    Graphic,
    Note,
    PresentationState,
    presentation_state_to_dicom,
)
from tests.builders import Made
from tests.imaging.scans import headers
from tests.imaging.test_presentation_state import by_dcmtk
from tests.viewer.conftest import Opened, Screen, made_study, viewing_study
from tests.viewer.pictures import difference

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

FIRST, SECOND = 10, 12  # slices k of the state
SIDE = 40
AREA = Area((11, 21), (10 + SIDE, 20 + SIDE))
AREA_OF_SECOND = Area((6, 11), (5 + SIDE, 10 + SIDE))
SHUTTER = 16
"""First column that the shutter shows, counted from 1."""

LINE = ((20.0, 25.0), (40.0, 30.0), (25.0, 38.0))
TEXT = (20.0, 52.0)
ALIKE = 3.0  # of 255, as a mean; what is drawn lies over the greys


@pytest.fixture(scope="module")
def study() -> dict[str, list[Made]]:
    """The phantom, and a state of two of its images with a window each."""
    _, series, made = made_study(RescaleIntercept="0", RescaleSlope="1")
    first, second = (Frame(made[k].instance, (), series) for k in (FIRST, SECOND))
    on_first = (Frame(made[FIRST].instance),)
    state = PresentationState(
        images=(first, second),
        label="LESION",
        windows=((Window(60, 300), on_first), (Window(0, 150), (Frame(made[SECOND].instance),))),
        areas=(
            replace(AREA, images=on_first),
            replace(AREA_OF_SECOND, images=(Frame(made[SECOND].instance),)),
        ),
        graphics=(Graphic("POLYLINE", LINE, images=on_first),),
        notes=(Note("Lesion", TEXT, images=on_first),),
        inverse=True,
        rotation=90,
        flipped=True,
    )
    written = presentation_state_to_dicom(state, headers(made))
    written.ShutterShape, written.ShutterPresentationValue = "RECTANGULAR", 0
    written.ShutterLeftVerticalEdge, written.ShutterRightVerticalEdge = SHUTTER, 64
    written.ShutterUpperHorizontalEdge, written.ShutterLowerHorizontalEdge = 1, 80
    return {"ct": made, "state": [Made(written, to_bytes(written))]}


@pytest.fixture(scope="module")
def opened(
    viewer_installed: None, study: dict[str, list[Made]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """The study in one viewer."""
    with viewing_study(study, "ct", tmp_path_factory.mktemp("viewer")) as found:
        yield found


def on_screen(point: tuple[float, float], size: tuple[int, ...]) -> np.ndarray:
    """Return column and row of a view where a point of the image is due.

    A quarter turned and flipped, the axes of the area are exchanged.
    """
    scale = min(size[:2]) / SIDE
    return np.array(
        [
            size[1] / 2 + (point[1] - 20 - SIDE / 2) * scale,
            size[0] / 2 + (point[0] - 10 - SIDE / 2) * scale,
        ]
    )


def as_stored(greys: np.ndarray) -> np.ndarray:
    """Return what DCMTK draws neither turned nor flipped, and behind the shutter, which it does not apply."""
    greys = greys if greys.shape == (80, 64) else np.rot90(greys[:, ::-1])
    return np.where(np.arange(64) < SHUTTER - 1, 0.0, greys.astype(float))


def to_line(pixels: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return how far pixels (n, 2) lie from a line of several pieces."""
    found = []
    for begin, end in pairwise(ends):
        along = end - begin
        share = np.clip((pixels - begin) @ along / (along @ along), 0, 1)
        found.append(np.hypot(*(pixels - begin - share[:, None] * along).T))
    return np.min(found, axis=0)


def coloured(seen: np.ndarray) -> np.ndarray:
    """Return column and row of the pixels that are not grey."""
    return np.argwhere(np.ptp(seen.astype(float), axis=2) > 90)[:, ::-1].astype(float)


def test_a_presentation_state_is_applied_to_its_images_and_taken_away(
    screen: Screen, study: dict[str, list[Made]], tmp_path: Path
) -> None:
    (state,) = study["state"]
    greys = as_stored(by_dcmtk(state.data, study["ct"][FIRST].data, tmp_path))
    due = greys[20 : 20 + SIDE, 10 : 10 + SIDE].T
    greys = as_stored(by_dcmtk(state.data, study["ct"][SECOND].data, tmp_path))
    due_of_second = greys[10 : 10 + SIDE, 5 : 5 + SIDE].T
    screen.put("layout", "Axial")
    screen.tool("series")
    before = screen.edges()
    screen.button(f"other-{state.instance}").click()
    screen.wait(f"s.presentation_uid === '{state.instance}'")
    assert screen.slice()[0] == FIRST + 1
    assert screen.edges() == ["A", "P", "R", "L"]
    seen: list[float] = []

    def corner() -> str:
        return " ".join(screen.words("br").split())

    def alike(due: np.ndarray = due) -> bool:
        seen.append(difference(screen.pixels(), due, (1, 1), (255, 127.5)))
        return seen[-1] < ALIKE

    screen.until(alike, 20, f"differs by {seen[-1:]}")
    shown = screen.pixels()
    drawn, ends = coloured(shown), np.array([on_screen(one, shown.shape) for one in LINE])
    written = np.abs(drawn - on_screen(TEXT, shown.shape)).max(axis=1) < 150
    assert written.sum() > 50, "there is no text"
    assert to_line(drawn[~written], ends).max() < 4
    for share in np.linspace(0, 1, 9):
        for begin, end in pairwise(ends):
            point = begin + share * (end - begin)
            assert np.hypot(*(drawn - point).T).min() < 4, "the line has a gap"
    assert screen.state("presentation_remarks") == []

    screen.button("slices-Red").fill(str(SECOND))
    screen.until(lambda: corner().startswith("W 150 C 0"), 20, corner())
    screen.until(lambda: alike(due_of_second), 20, "the area of the second is not shown")
    assert not len(coloured(screen.pixels())), "what is drawn on one image is shown on another"

    screen.button(f"other-{state.instance}").click()
    screen.wait("!s.presentation_uid && !s.has_overlays")
    screen.until(lambda: corner().startswith("W 400 C 100"), 20, corner())
    assert screen.edges() == before
