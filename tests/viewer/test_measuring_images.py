"""Measuring on images that are not slices of a patient: ultrasound, projections, photographs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from pydicom.pixels import set_pixel_data
from pydicom.uid import generate_uid

from dicomdock.dicom.resource import Resource
from dicomdock.imaging.measurements import read_report
from tests.builders import Made, encode
from tests.imaging.scans import scan
from tests.imaging.test_measurements import region_of
from tests.viewer.conftest import Screen, folders, looked_at, store, viewing
from tests.viewer.measuring import Point, at, save_report

pytestmark = [pytest.mark.viewer, pytest.mark.slow]


def test_ultrasound_and_projections_are_measured_by_what_their_headers_state(
    viewer_installed: None, browser: Browser, tmp_path: Path
) -> None:
    """Two regions of a colour image of different scales, a projection at its detector, a photograph in px."""
    study, plane = str(generate_uid()), np.zeros((1, 80, 64), np.int16)
    echo, ray, photograph = (
        scan(plane, StudyInstanceUID=study, SeriesNumber=number, Modality=modality, **more)[0].dataset
        for number, modality, more in (
            (1, "US", {}),
            (2, "DX", {"ImagerPixelSpacing": [0.2, 0.2]}),
            (3, "XC", {}),
        )
    )
    echo.SequenceOfUltrasoundRegions = [region_of(0, 31, 0.1, 80), region_of(32, 63, 0.02, 80)]
    for one in (echo, ray, photograph):
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
            delattr(one, name)
    del ray.PixelSpacing, photograph.PixelSpacing
    set_pixel_data(echo, np.full((80, 64, 3), 90, np.uint8), "RGB", 8)
    settings = folders(tmp_path)
    store(settings, [Made(one, encode(one)) for one in (echo, ray, photograph)])
    with viewing(settings, Resource(study, str(echo.SeriesInstanceUID))) as shown:
        for screen in looked_at(browser, shown.url):
            screen.tool("measure")
            screen.drawn()
            expect(screen.button("play")).to_be_disabled()  # one image

            def words(kind: str, *points: Point, screen: Screen = screen) -> list[str]:
                before = screen.state("measurements.length")
                screen.button(kind).click()
                screen.wait(f"s.measuring === '{kind}'")
                for place in points:
                    screen.page.mouse.click(*at(screen, *place))
                    screen.handled()
                screen.wait(f"!s.measuring && s.measurements.length === {before + 1}")
                return screen.state("measurements")[-1]["words"]

            for left, scale, which in ((5, 1.0, 1), (36, 0.2, 2)):
                length, how = words("distance", (20, left), (20, left + 20))
                assert float(length.split()[1]) == pytest.approx(20 * scale, rel=0.04)
                assert how == f"In mm by ultrasound region {which}"
            (across,) = words("distance", (20, 20), (20, 50))
            assert "do not lie in one calibrated region" in across
            # It needs the shape of the pixels alone, which both regions share: twice as high as wide.
            (turn,) = words("angle", (20, 50), (20, 20), (40, 40))
            assert float(turn.split()[1].rstrip("°")) == pytest.approx(np.degrees(np.arctan(2)), abs=2)
            area, _ = words("ellipse", (10, 2), (30, 22))
            assert float(area.split()[1]) == pytest.approx(628, rel=0.06)
            kept = [one["words"] for one in screen.state("measurements")]
            saved = save_report(shown, screen)
            screen.drop_measurements()
            screen.button(f"report-{saved.resource.series}").click()
            screen.wait("s.measurements.length === 4")  # the one without a number is in no report
            assert [one["words"] for one in screen.state("measurements")] == [*kept[:2], *kept[3:]]
            screen.show(str(ray.SeriesInstanceUID))
            screen.tool("measure")
            length, how = words("distance", (20, 5), (20, 45))
            assert float(length.split()[1]) == pytest.approx(40 * 0.2, rel=0.04)
            assert how == "In mm at the detector, the body magnified"
            screen.show(str(photograph.SeriesInstanceUID))
            screen.tool("measure")
            length, how = words("distance", (20, 5), (20, 45))
            number, unit = length.split()[1:]
            assert (float(number), unit) == (pytest.approx(40, rel=0.04), "px")
            assert how == "In px because the image states no spacing of its pixels"
            with screen.page.expect_download() as offered:
                screen.button("measurements-csv").click()
            (row,) = csv.DictReader(offered.value.path().read_text("utf-8").splitlines())
            assert (row["unit"], f"{float(row['value']):.4g}") == ("px", number)
            report = read_report(save_report(shown, screen).path.read_bytes())
            assert [one.amount for one in report.measurements[0].values] == [f"{number} px"]
            # It is no plane of a patient, and no volume.
            screen.tool("layout")
            expect(screen.button("layout-Axial")).to_have_text("Image")
            assert screen.state("layouts") == ["Axial", "Compare", "Four series"]
            screen.tool("window")
            for label in ("Slab", "Crosshair (move with Shift held)", "Along the images' own planes"):
                expect(screen.page.get_by_label(label)).to_be_hidden()
            expect(screen.page.get_by_label("Text in the corners")).to_be_visible()
