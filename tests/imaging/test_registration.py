"""Rigid registration: landmarks, matrices, and Spatial Registration objects."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.registration import (
    Registration,
    adjusted,
    from_landmarks,
    inverted,
    moved,
    read_registrations,
    registration_to_dicom,
)
from dicomdock.imaging.registration.spatial import FIDUCIALS
from dicomdock.imaging.volume import Volume
from tests.imaging.scans import AXIAL, check_with_dciodvfy, headers, oblique, scan

SHAPE = (5, 8, 9)
TRUTH = oblique((0.3, -0.2, 0.5), (1, 1, 1), (10, -20, 30))[:, [2, 1, 0, 3]]
"""A rotation about all axes and a shift."""

RANDOM = np.random.default_rng(7)
POINTS = RANDOM.uniform(-80, 80, (6, 3))


def shifted(points: np.ndarray) -> np.ndarray:
    return points @ TRUTH[:3, :3].T + TRUTH[:3, 3]


def test_exact_landmarks_give_the_transform() -> None:
    assert np.linalg.det(TRUTH[:3, :3]) == pytest.approx(1)
    found = from_landmarks(POINTS, shifted(POINTS))
    assert np.allclose(found.matrix, TRUTH)
    assert found.error < 1e-9
    flat = POINTS * (1, 1, 0)  # in a plane, where a mirror image fits as well
    assert np.allclose(from_landmarks(flat, shifted(flat)).matrix, TRUTH)
    assert np.allclose(inverted(TRUTH) @ TRUTH, np.eye(4))


def test_inexact_landmarks_give_the_least_squares() -> None:
    """No small turn or shift from what was found leaves less."""
    due = shifted(POINTS) + RANDOM.normal(0, 2, POINTS.shape)
    found = from_landmarks(POINTS, due)
    assert 0.5 < found.error < 4

    def error(matrix: np.ndarray) -> float:
        left = POINTS @ matrix[:3, :3].T + matrix[:3, 3] - due
        return float(np.sqrt((left**2).sum(axis=1).mean()))

    assert error(found.matrix) == pytest.approx(found.error)
    for _ in range(200):
        step = oblique(RANDOM.normal(0, 0.01, 3), (1, 1, 1), RANDOM.normal(0, 0.2, 3))[:, [2, 1, 0, 3]]
        assert error(step @ found.matrix) > found.error


@pytest.mark.parametrize(
    ("points", "words"),
    [(POINTS[:2], "three pairs"), (np.outer(np.arange(5), (3, 4, 5)), "lie on a line")],
)
def test_landmarks_that_fix_no_rotation_are_refused(points: np.ndarray, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        from_landmarks(points, shifted(points))


def pair() -> tuple[list, list, Registration]:
    frames = [str(generate_uid()) for _ in range(2)]
    fixed = scan(np.zeros(SHAPE, np.int16), AXIAL, FrameOfReferenceUID=frames[0])
    moving = scan(np.zeros(SHAPE, np.int16), AXIAL, FrameOfReferenceUID=frames[1])
    return fixed, moving, Registration(*frames, TRUTH, FIDUCIALS, "Größe by landmarks")


@pytest.mark.slow
def test_a_registration_survives_dicom_across_studies(tmp_path: Path) -> None:
    fixed, moving, registration = pair()
    data = to_bytes(registration_to_dicom(registration, headers(fixed), headers(moving)))
    check_with_dciodvfy(data, tmp_path)
    (found,) = read_registrations(data)
    assert (found.fixed, found.moving) == (registration.fixed, registration.moving)
    assert (found.kind, found.comment) == (FIDUCIALS, "Größe by landmarks")
    assert np.allclose(found.matrix, TRUTH, atol=1e-12)
    back = found.between(registration.moving, registration.fixed)
    assert back is not None
    assert np.allclose(back, np.linalg.inv(TRUTH))
    assert found.between("1.2", "1.3") is None
    written = dcmread(BytesIO(data))
    assert written.StudyInstanceUID == fixed[0].study
    (other,) = written.StudiesContainingOtherReferencedInstancesSequence
    assert other.StudyInstanceUID == moving[0].study
    # PS3.3 §C.20.2.1.1: the matrix takes points of the item's frame of reference to the object's own.
    item = next(one for one in written.RegistrationSequence if one.FrameOfReferenceUID == registration.moving)
    matrix = item.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix
    assert np.allclose(
        np.reshape([float(one) for one in matrix], (4, 4)) @ [1, 2, 3, 1], TRUTH @ [1, 2, 3, 1]
    )


def test_a_moved_volume_has_its_landmarks_where_they_belong() -> None:
    array = RANDOM.integers(0, 100, SHAPE).astype(np.int16)
    made = scan(array, oblique((0.1, 0.2, 0.3), (3, 1, 1), (4, 5, 6)))
    volume = Volume.from_instances([one.data for one in made])
    found = moved(volume, TRUTH, "1.2.3")
    at = [[1, 2, 3], [4, 0, 8]]
    assert np.allclose(found.geometry.to_lps(at), shifted(volume.geometry.to_lps(at)))
    assert found.frame_of_reference == "1.2.3"
    assert np.array_equal(found.array, volume.array)


def test_refusals() -> None:
    fixed, moving, registration = pair()
    scaled = Registration(registration.fixed, registration.moving, TRUTH @ np.diag([1.01, 1, 1, 1]))
    mirrored = Registration(registration.fixed, registration.moving, np.diag([-1.0, 1, 1, 1]))
    for one in (scaled, mirrored):
        with pytest.raises(GeometryError, match="not rigid"):
            registration_to_dicom(one, headers(fixed), headers(moving))
    with pytest.raises(GeometryError, match="must lie in the frames of reference"):
        registration_to_dicom(registration, headers(moving), headers(fixed))
    same = Registration(registration.fixed, registration.fixed, TRUTH)
    with pytest.raises(GeometryError, match="registered already"):
        registration_to_dicom(same, headers(fixed), headers(fixed))
    with pytest.raises(GeometryError, match="not a Spatial Registration"):
        read_registrations(fixed[0].data)
    written = registration_to_dicom(registration, headers(fixed), headers(moving))
    matrix = written.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    matrix.FrameOfReferenceTransformationMatrix = [1.0] * 16
    with pytest.raises(GeometryError, match="not rigid"):
        read_registrations(written)


def test_what_was_moved_is_turned_and_shifted_further_about_its_middle() -> None:
    """The middle moves by the shift alone; P goes to H and so on by 90 degrees counter-clockwise."""
    centre, shift = np.array([10.0, -20, 30]), np.array([1.0, 2, 3])
    back = inverted(TRUTH) @ [*centre, 1]
    for axis, (before, after) in enumerate(
        (((0, 1, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0)), ((1, 0, 0), (0, 1, 0)))
    ):
        found = adjusted(TRUTH, centre, shift, 90 * np.eye(3)[axis])
        assert np.allclose((found @ back)[:3], centre + shift)
        there = inverted(TRUTH) @ [*(centre + before), 1]
        assert np.allclose((found @ there)[:3], centre + shift + after)
    # About L first, then about H: P goes to H, and stays there.
    both = adjusted(np.eye(4), (0, 0, 0), (0, 0, 0), (90, 0, 90))
    assert np.allclose(both @ (0, 1, 0, 1), (0, 0, 1, 1))
    assert np.allclose(adjusted(TRUTH, centre, (0, 0, 0), (0, 0, 0)), TRUTH)
