"""Dose grids and dose-volume histograms, against analytic phantoms and numbers of another program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.dose import Dose, DoseHistogram, histograms, read_dose
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.volume import Volume
from tests.builders import composite
from tests.imaging.scans import put_pixels

FRAME = "1.2.826.0.1.3680043.8.498.15"
GRID = VolumeGeometry((40, 44, 48), [[0, 0, 1, -24], [0, 1, 0, -22], [1, 0, 0, -20], [0, 0, 0, 1]])
"""Voxels of 1 mm."""


def dose_of(
    function: Callable[..., np.ndarray], shape: tuple[int, int, int] = (18, 20, 22), **changed: Any
) -> Dataset:
    """Make an RT Dose of 2.5 mm whose values are a function of x, y, z in mm."""
    origin, step = np.array([-26.0, -24.0, -21.0]), 2.5
    z, y, x = (origin[2 - axis] + step * np.arange(size) for axis, size in enumerate(shape))
    values = function(x[None, None, :], y[None, :, None], z[:, None, None])
    dataset = composite("1.2.840.10008.5.1.4.1.1.481.2", FrameOfReferenceUID=FRAME, Modality="RTDOSE")
    put_pixels(dataset, np.round(np.broadcast_to(values, shape) / 0.001).astype(np.uint16))
    dataset.ImagePositionPatient = [str(one) for one in origin]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.PixelSpacing = ["2.5", "2.5"]
    dataset.GridFrameOffsetVector = [str(step * at) for at in range(shape[0])]
    dataset.DoseGridScaling, dataset.DoseUnits = "0.001", "GY"
    dataset.DoseType, dataset.DoseSummationType = "PHYSICAL", "PLAN"
    for keyword, value in changed.items():
        setattr(dataset, keyword, value)
    return dataset


def linear(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return 20 + 0.5 * x + 0 * y + 0 * z


def drawn(**masks: np.ndarray) -> Segmentation:
    volume = Volume(np.zeros(GRID.shape, np.int16), GRID, frame_of_reference=FRAME, modality="CT")
    return Segmentation.from_array(np.stack([*masks.values()]).astype(np.uint8), volume, names=[*masks])


def points() -> np.ndarray:
    at = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1)
    return GRID.to_lps(at)


def box() -> np.ndarray:
    """Return the voxels of a box of 20 x 10 x 10 mm, x from -10 to 10."""
    x, y, z = np.moveaxis(points() + 0.5, -1, 0)
    inside: np.ndarray = (abs(x) < 10) & (abs(y) < 5) & (abs(z) < 5)
    return inside


def one(dose: Dose, structures: Segmentation, bin_width: float | None = None) -> DoseHistogram:
    (found,) = histograms(dose, structures, bin_width)
    return found


def test_a_linear_dose_in_a_box_is_its_formula() -> None:
    found = one(read_dose(dose_of(linear)), drawn(box=box()))
    assert found.volume == found.covered == pytest.approx(2.0)
    # Voxel centres at x = -10 to 9 mm: 15 to 24.5 Gy, a hundred voxels each half gray.
    assert (found.minimum, found.mean, found.maximum) == pytest.approx((15, 19.75, 24.5), abs=0.001)
    doses, volumes = np.array(found.doses), np.array(found.volumes)
    assert volumes[0] == pytest.approx(2.0)
    assert np.all(np.diff(volumes) <= 0)
    for dose in (0.0, 14.2, 15.2, 17.7, 24.2, 24.6):
        due = 0.1 * np.count_nonzero(15 + 0.5 * np.arange(20) >= dose)
        assert volumes[np.argmin(abs(doses - dose))] == pytest.approx(due)
    assert found.at_least is not None
    assert found.at_least == pytest.approx((15, 15.5, 19.75, 24.5), abs=0.51)


def test_a_rescale_beside_the_scaling_makes_no_other_dose() -> None:
    """Some programs write one of 1 and 0 into every object that they make."""
    rescaled = read_dose(dose_of(linear, RescaleSlope="1", RescaleIntercept="0"))
    assert np.array_equal(rescaled.volume.array, read_dose(dose_of(linear)).volume.array)
    assert one(rescaled, drawn(box=box())).maximum == pytest.approx(24.5, abs=0.001)


def test_a_parabolic_dose_in_a_sphere_is_its_formula() -> None:
    """The dose falls with the square of the distance: the volume above that at r is a sphere of radius r."""
    radius = 15.0
    sphere = np.linalg.norm(points(), axis=-1) <= radius
    dataset = dose_of(lambda x, y, z: 60 - 0.1 * (x**2 + y**2 + z**2))
    found = one(read_dose(dataset), drawn(sphere=sphere))
    assert found.volume == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.01)
    # The linear interpolation of a parabola stays below it, by at most 3 * 0.1 * 2.5**2 / 4 Gy.
    assert found.maximum == pytest.approx(60, abs=0.5)
    assert found.mean == pytest.approx(60 - 0.1 * 3 / 5 * radius**2, abs=0.5)
    for inner in (8.0, 10.0, 12.0):
        reached = np.interp(60 - 0.1 * inner**2 - 0.31, found.doses, found.volumes)
        assert reached == pytest.approx(4 / 3 * np.pi * inner**3 / 1000, rel=0.06)


def test_both_forms_of_the_frame_offsets_are_one_position() -> None:
    def by_height(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return 30 + 0.5 * z + 0 * x + 0 * y

    offsets = 2.5 * np.arange(18)
    expected = one(read_dose(dose_of(by_height)), drawn(box=box()))
    stated = read_dose(dose_of(by_height, GridFrameOffsetVector=[str(-21.0 + at) for at in offsets]))
    assert one(stated, drawn(box=box())).mean == pytest.approx(expected.mean)
    assert expected.mean == pytest.approx(30 - 0.25, abs=0.001)
    # Frames from above to below.
    down = dose_of(by_height)
    down.ImagePositionPatient = ["-26", "-24", str(-21.0 + offsets[-1])]
    down.GridFrameOffsetVector = [str(-at) for at in offsets]
    frames = np.frombuffer(down.PixelData, np.uint16).reshape(18, -1)
    down.PixelData = frames[::-1].tobytes()
    assert one(read_dose(down), drawn(box=box())).mean == pytest.approx(expected.mean)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"DoseGridScaling": None}, "Dose Grid Scaling is not stated"),
        ({"DoseGridScaling": "0"}, "Dose Grid Scaling is not stated"),
        ({"DoseUnits": None}, "Dose Units is not stated"),
        ({"DoseUnits": "CGY"}, "Dose Units is CGY"),
        ({"DoseType": None}, "Dose Type is not stated"),
        ({"GridFrameOffsetVector": None}, "Grid Frame Offset Vector is not stated"),
        ({"GridFrameOffsetVector": ["0", "2.5"]}, "of 2 values for 18 frames"),
        (
            {"GridFrameOffsetVector": [str(7 + at) for at in range(18)]},
            "begins neither with 0 nor with the z",
        ),
        (
            {"GridFrameOffsetVector": [str(at**2) for at in range(18)]},
            "distance between neighbouring slices varies",
        ),
        ({"GridFrameOffsetVector": ["0"] * 18}, "do not lie at equal distances"),
        ({"GridFrameOffsetVector": [str(2.5 * (at + (at > 1))) for at in range(18)]}, "at equal distances"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "not an RT Dose"),
    ],
)
def test_a_dose_without_unit_or_position_is_refused(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GeometryError, match=sentence):
        read_dose(dose_of(linear, **changed))


def test_a_dose_without_grid_or_position_is_refused() -> None:
    bare = dose_of(linear)
    del bare.PixelData
    with pytest.raises(GeometryError, match="no dose grid"):
        read_dose(bare)
    nowhere = dose_of(linear)
    del nowhere.ImagePositionPatient
    with pytest.raises(GeometryError):
        read_dose(nowhere)


def test_a_structure_that_is_not_covered_has_no_numbers() -> None:
    beyond = np.zeros(GRID.shape, bool)
    beyond[10:20, 10:20, :] = True
    short = read_dose(dose_of(linear, (18, 20, 14)))
    structures = drawn(box=box() & (points()[..., 0] < 0), beyond=beyond)
    inside, cut = histograms(short, structures)
    assert inside.mean is not None
    assert (cut.mean, cut.at_least, cut.doses) == (None, None, ())
    assert 0 < cut.covered < cut.volume == pytest.approx(4.8)


def test_what_cannot_be_compared_is_refused() -> None:
    dose, structures = read_dose(dose_of(linear)), drawn(box=box())
    with pytest.raises(GeometryError, match="different frames of reference"):
        one(dose, replace(structures, frame_of_reference="1.2.3"))
    with pytest.raises(GeometryError, match="frame of reference of the structures is not stated"):
        one(dose, replace(structures, frame_of_reference=""))
    with pytest.raises(GeometryError, match="differences"):
        one(read_dose(dose_of(linear, DoseType="ERROR")), structures)
    for width in (-1.0, float("nan"), 1e-9):
        with pytest.raises(InvalidInput, match=r"bin|Bins"):
            one(dose, structures, width)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"DoseUnits": "RELATIVE"}, "relative to a reference"),
        ({"DoseType": "EFFECTIVE"}, "effective"),
        ({"DoseSummationType": "BEAM"}, "Dose Summation Type BEAM, not of a whole plan"),
        ({"DoseSummationType": None}, "does not state whether"),
    ],
)
def test_what_the_dose_is_of_is_remarked(changed: dict[str, Any], sentence: str) -> None:
    found = read_dose(dose_of(linear, **changed))
    assert any(sentence in remark for remark in found.remarks)
    assert not read_dose(dose_of(linear)).remarks
    assert one(found, drawn(box=box())).mean == pytest.approx(19.75, abs=0.001)
