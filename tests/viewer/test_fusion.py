"""PET in uptake with its unit, and over the CT of its study; in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage, generate_uid

from dicomdock.dicom.resource import Resource
from tests.builders import Made
from tests.imaging.scans import scan
from tests.viewer.conftest import Opened, Screen, folders, made_study, store, viewing
from tests.viewer.pictures import difference

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

ALIKE = 4.0  # mean difference, of 255, of a view from what numpy draws
PET_SHAPE = (12, 24, 20)
PET_AFFINE = np.array([[0, 0, 3.0, -27], [0, 3.0, 0, -33], [4, 0, 0, 12], [0, 0, 0, 1.0]])
"""3 mm pixels, 4 mm slices, inside of the CT; (k, j, i) -> LPS."""

PER_BECQUEREL = 70 * 1000 / (350e6 * 2 ** (-3600 / 6588))
"""SUV by body weight of one Bq/ml: 70 kg, 350 MBq an hour before the scan."""


def activity() -> np.ndarray:
    """Return Bq/ml that tell every voxel's place."""
    k, j, i = np.indices(PET_SHAPE)
    return np.round((0.1 * i + 0.15 * j + 0.2 * k) / PER_BECQUEREL).astype(np.int16)


def pet(study: str, number: int, dose: str = "350000000", **attributes: object) -> list[Made]:
    """Make a PET series of a study; without a dose it lacks an input of SUV."""
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = dose or None, "6588"
    drug.RadiopharmaceuticalStartTime = "090000"
    given = {
        "SOPClassUID": PositronEmissionTomographyImageStorage,
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
        "StudyInstanceUID": study,
        "Modality": "PT",
        "SeriesNumber": number,
        "SeriesDescription": f"PET {number}",
        "Units": "BQML",
        "CorrectedImage": ["ATTN", "DECY"],
        "DecayCorrection": "START",
        "PatientWeight": "70",
        **dict.fromkeys(("SeriesDate", "AcquisitionDate"), "20240102"),
        **dict.fromkeys(("SeriesTime", "AcquisitionTime"), "100000"),
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "RadiopharmaceuticalInformationSequence": [drug],
        **attributes,
    }
    return scan(activity(), PET_AFFINE, **given)


@pytest.fixture(scope="module")
def study() -> dict[str, list[Made]]:
    """A CT, a PET of the same frame of reference, one without its dose, and one of another frame."""
    frame = str(generate_uid())
    uid, _, ct = made_study(FrameOfReferenceUID=frame, RescaleIntercept="0", RescaleSlope="1")
    return {
        "ct": ct,
        "pet": pet(uid, 4, FrameOfReferenceUID=frame),
        "no dose": pet(uid, 5, dose="", FrameOfReferenceUID=frame),
        "elsewhere": pet(uid, 6),
    }


@pytest.fixture(scope="module")
def opened(
    viewer_installed: None, study: dict[str, list[Made]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """The study in one viewer."""
    settings = folders(tmp_path_factory.mktemp("viewer"))
    store(settings, [one for series in study.values() for one in series])
    first = study["ct"][0]
    with viewing(settings, Resource(first.study, first.series)) as found:
        yield found


def value_under_mouse(screen: Screen, j: float, i: float, shape: tuple[int, int], pixel: float) -> str:
    """Read the values of the axial view with the mouse at a place (row, column) of its fitted slice."""
    box = screen.box()
    scale = max(shape[0] * pixel / box["height"], shape[1] * pixel / box["width"])  # mm a pixel of the page
    x = box["x"] + box["width"] / 2 + (i + 0.5 - shape[1] / 2) * pixel / scale
    y = box["y"] + box["height"] / 2 + (j + 0.5 - shape[0] / 2) * pixel / scale
    screen.page.mouse.move(x - 3, y)
    screen.page.mouse.move(x, y)
    return screen.words("value")


def test_pet_is_shown_in_uptake_with_its_unit_where_every_input_is_there(
    screen: Screen, study: dict[str, list[Made]]
) -> None:
    uptake = activity() * PER_BECQUEREL
    screen.show(study["pet"][0].series)
    screen.wait("s.window_width === 5 && s.window_unit === 'g/ml{SUVbw}'")
    assert screen.state("presets") == ["0 to 5", "0 to 10", "0 to 20"]
    assert "W 5 C 2.5 g/ml{SUVbw}" in screen.words("br")
    k = screen.slice()[0] - 1
    screen.until(lambda: difference(screen.pixels(), uptake[k], (3, 3), (5, 2.5)) < ALIKE)
    due = f"{uptake[k, 6, 4]:.5g} g/ml{{SUVbw}}"
    screen.until(lambda: value_under_mouse(screen, 6, 4, PET_SHAPE[1:], 3) == due)
    screen.page.keyboard.press("ArrowUp")  # another slice comes under the mouse
    screen.until(lambda: screen.words("value") == f"{uptake[k + 1, 6, 4]:.5g} g/ml{{SUVbw}}")
    assert screen.state("remarks") == []

    screen.show(study["no dose"][0].series)
    screen.wait("s.window_unit === 'Bq/ml'")
    assert screen.words("br").endswith("Bq/ml")
    assert screen.state("remarks") == ["No SUV is computed: the injected dose is not stated."]
    due = f"{activity()[screen.slice()[0] - 1, 6, 4]:.5g} Bq/ml"
    screen.until(lambda: value_under_mouse(screen, 6, 4, PET_SHAPE[1:], 3) == due)
    screen.page.mouse.move(1, 1)  # out of the views
    screen.until(lambda: screen.words("value") == "")
