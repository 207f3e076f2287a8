"""RT Dose over its plan's CT: colour wash, isodose lines and histograms; in a real browser."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import expect
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.rtstruct import structures_to_dicom
from dicomdock.imaging.segmentation import Mask, Segment, Segmentation
from tests.builders import Made, composite, encode
from tests.imaging.scans import grid, headers, put_pixels
from tests.viewer.conftest import (
    AFFINE,
    SHAPE,
    Opened,
    Screen,
    made_study,
    viewing_study,
)
from tests.viewer.pictures import drawn

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

SIZE = (14, 26, 24)
ORIGIN, STEP = np.array([-28.0, -34.0, 8.0]), 2.5
"""The dose grid of 2.5 mm: x from -28 to 29.5, y from -34 to 28.5, z from 8 to 40.5 mm."""


def gray(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the dose at points in LPS: more at the patient's left, back and head."""
    return 30 + 0.5 * x + 0.2 * y + 0.1 * z


def dose(study: str, frame: str, number: int) -> Made:
    """Make an RT Dose."""
    z, y, x = (ORIGIN[2 - axis] + STEP * np.arange(size) for axis, size in enumerate(SIZE))
    values = gray(x[None, None, :], y[None, :, None], z[:, None, None])
    dataset = composite(
        "1.2.840.10008.5.1.4.1.1.481.2",
        StudyInstanceUID=study,
        SeriesInstanceUID=str(generate_uid()),
        FrameOfReferenceUID=frame,
        Modality="RTDOSE",
        PatientName="Doe^Jane",
        PatientID="4711",
        SeriesNumber=number,
        SeriesDescription="Plan dose",
    )
    put_pixels(dataset, np.round(values / 0.001).astype(np.uint16))
    dataset.ImagePositionPatient = [str(one) for one in ORIGIN]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.PixelSpacing = [str(STEP)] * 2
    dataset.GridFrameOffsetVector = [str(STEP * at) for at in range(SIZE[0])]
    dataset.DoseGridScaling, dataset.DoseUnits = "0.001", "GY"
    dataset.DoseType, dataset.DoseSummationType = "PHYSICAL", "PLAN"
    return Made(dataset, encode(dataset))


TARGET = (slice(4, 12), slice(20, 40), slice(10, 26))
OUTSIDE = (slice(18, 23), slice(20, 40), slice(10, 26))
"""Voxels of the structures, (k, j, i): the latter lie above the dose grid, which ends at 40.5 mm."""


def structures(instances: list[Made]) -> Dataset:
    """Make a structure set of the CT."""
    segments = []
    for label, box in (("Target", TARGET), ("Apex", OUTSIDE)):
        array = np.zeros(SHAPE, bool)
        array[box] = True
        segments.append(Segment(label, Mask.of(array)))
    return structures_to_dicom(Segmentation(grid(SHAPE, AFFINE), tuple(segments)), headers(instances))


@pytest.fixture(scope="module")
def study() -> dict[str, list[Made]]:
    """A CT with structures, a dose of its frame of reference, and one of another."""
    frame = str(generate_uid())
    uid, _, ct = made_study(FrameOfReferenceUID=frame, RescaleIntercept="0", RescaleSlope="1")
    drawn_on = structures(ct)
    return {
        "ct": ct,
        "structures": [Made(drawn_on, to_bytes(drawn_on))],
        "dose": [dose(uid, frame, 5)],
        "elsewhere": [dose(uid, str(generate_uid()), 6)],
    }


@pytest.fixture(scope="module")
def opened(
    viewer_installed: None, study: dict[str, list[Made]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """The study in one viewer."""
    with viewing_study(study, "ct", tmp_path_factory.mktemp("viewer")) as found:
        yield found


def off_the_lines(screen: Screen, level: float) -> float:
    """Return how far, in Gy, coloured pixels of the axial view lie from an isodose: the 98th percentile."""
    seen = screen.pixels().astype(float)
    coloured = np.ptp(seen, axis=2) > 90
    z = 2.0 * (screen.slice()[0] - 1) + 10
    j, i = np.indices(SHAPE[1:])
    due, where = drawn(gray(i - 32.0, j - 40.0, z), (1, 1), seen.shape[:2])
    inside = coloured[where]
    assert inside.sum() > 200, "there is no line"
    return float(np.percentile(abs(due[inside] - level), 98))


def test_dose_lies_over_its_ct_with_lines_and_histograms(
    screen: Screen, study: dict[str, list[Made]]
) -> None:
    screen.tool("fusion")
    screen.button(f"dose-{study['elsewhere'][0].instance}").click()
    sentence = "6 Plan dose is not shown: it has another frame of reference than the images."
    screen.wait(f"s.dose_words === '{sentence}'")
    assert not screen.state("fusion_uid")
    bare = screen.pixels()
    screen.button(f"dose-{study['dose'][0].instance}").click()
    screen.wait("s.dose_unit === 'Gy' && s.dose_levels.length === 7 && s.fusion_unit === 'Gy'")
    most = gray(29.5, 28.5, 40.5)
    assert screen.state("dose_levels[0].text") == f"{0.95 * most:.1f} Gy"
    screen.until_changed(bare, more=0.5)
    assert screen.words("br").split("\n")[1] == f"W {most:.5g} C {most / 2:.5g} Gy"
    screen.button("fusion-opacity").fill("0")  # the lines alone
    screen.button("isodoses").fill("35")
    screen.button("isodoses").press("Enter")
    screen.wait("s.dose_levels.length === 1 && s.fusion_opacity === 0")
    # A line of 2 pixels is 0.4 mm wide: 0.2 Gy.
    screen.until(lambda: off_the_lines(screen, 35) < 0.5)

    uid = study["structures"][0].series
    screen.button(f"dvh-{uid}").click()
    screen.wait(f"s.dvh_uid === '{uid}' && s.dvh_curves.length === 1")
    (target, apex), titles = screen.state("dvh_rows"), screen.state("dvh_titles")
    k, j, i = np.mgrid[TARGET]
    inside = gray(i - 32.0, j - 40.0, 2.0 * k + 10)
    found = dict(zip(titles, target, strict=True))
    assert float(found["ml"]) == pytest.approx(inside.size * 2 / 1000, rel=0.001)
    for title, due in (("Min", inside.min()), ("Mean (Gy)", inside.mean()), ("Max", inside.max())):
        assert float(found[title]) == pytest.approx(due, abs=0.02)
    assert apex[2:] == ["–"] * 7
    (remark,) = [one for one in screen.state("dvh_remarks") if "Apex" in one]
    assert "lie outside the dose grid" in remark
    expect(screen.button("dvh-plot").locator("polyline")).to_have_count(1)
    with screen.page.expect_download() as download:
        screen.button("dvh-csv").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))
    assert {row["structure"] for row in rows} == {"Target"}
    half = min(rows, key=lambda row: abs(float(row["dose"]) - float(np.median(inside))))
    assert float(half["volume_percent"]) == pytest.approx(50, abs=3)
    assert half["dose_unit"] == "Gy"
    screen.button(f"dose-{study['dose'][0].instance}").click()
    screen.wait("!s.dose_uid && !s.dvh_curves.length")
    screen.until_changed(bare, less=0.01)
