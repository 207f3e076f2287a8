"""Which registration joins two frames of reference: of the study, or of another of the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.registration import Registration, registration_to_dicom
from dicomdock.viewer.registrations import Registrations
from dicomdock.viewer.study import read_priors, read_study
from tests.builders import Made, write
from tests.imaging.scans import headers, scan

NOW, BEFORE = "1.2.3.1", "1.2.3.2"  # frames of reference of the shown study and of the prior one
SHIFT = np.array([[1.0, 0, 0, 5], [0, 1, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1]])


def images(study: str, frame: str, patient: str) -> list[Made]:
    return scan(
        np.zeros((2, 4, 5), np.int16),
        StudyInstanceUID=study,
        FrameOfReferenceUID=frame,
        PatientID=patient,
        PatientName=f"{patient}^X",
    )


def stored(fixed: list[Made], moving: list[Made], matrix: np.ndarray) -> Made:
    """Write a registration, which lies in the study of the fixed images."""
    frames = (str(one[0].dataset.FrameOfReferenceUID) for one in (fixed, moving))
    written = registration_to_dicom(Registration(*frames, matrix), headers(fixed), headers(moving))
    return Made(written, to_bytes(written))


@pytest.fixture
def archive(settings: Settings) -> Archive:
    with Archive.open(settings) as opened:
        yield opened


def put(archive: Archive, folder: Path, made: list[Made]) -> None:
    for _ in archive.import_paths(write(folder, made)):
        pass


@pytest.mark.slow
def test_a_registration_of_another_study_of_the_patient_is_found(archive: Archive, tmp_path: Path) -> None:
    """Also one that came after the first question; one of the shown study wins; a stranger's is not one."""
    now, before = images("1.2.1", NOW, "4711"), images("1.2.2", BEFORE, "4711")
    stranger = images("1.2.9", BEFORE, "9999")
    put(archive, tmp_path / "a", [*now, *before, *stranger, stored(stranger, now, SHIFT @ SHIFT)])
    study = read_study(archive, "1.2.1")
    told: list[str] = []
    found = Registrations(archive, lambda: study, told.append)
    assert found.between(NOW, BEFORE) is None
    put(archive, tmp_path / "b", [stored(before, now, SHIFT)])
    later = Registrations(archive, lambda: study, told.append)
    matrix = later.between(BEFORE, NOW)
    assert matrix is not None
    assert np.allclose(matrix, SHIFT)
    assert np.allclose(later.between(NOW, BEFORE), np.linalg.inv(SHIFT))
    assert later.between(NOW, "1.2.3.4") is None
    own = SHIFT.copy()
    own[:3, 3] *= 3
    put(archive, tmp_path / "c", [stored(now, before, own)])
    study = read_study(archive, "1.2.1")
    assert np.allclose(later.between(NOW, BEFORE), own)
    assert not told
    assert [one.modalities for one in read_priors(archive, study)] == ["CT\\REG"]
