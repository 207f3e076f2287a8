"""Series of several volumes: their order, what is computed over them, and maps of diffusion."""

from __future__ import annotations

import warnings
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom.uid import MRImageStorage, generate_uid

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.derived import Derivation, derived_to_dicom
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.multivolume import (
    apparent_diffusion,
    difference,
    maximum,
    mean,
    members_of,
    region_curve,
    trace_weighted,
    voxel_curve,
)
from dicomdock.imaging.parametric import parametric_map_to_dicom
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume
from tests.builders import Made, encode
from tests.imaging.scans import check_with_dciodvfy, headers, oblique, scan

SHAPE = (3, 5, 6)
AFFINE = oblique((0.3, -0.2, 0.5), (2.5, 0.8, 0.6), (10, -20, 30))
RANDOM = np.random.default_rng(11)
MADE = Code("113085", "DCM", "Spatial resampling")
DIRECTIONS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def series(arrays: list[np.ndarray], attributes: list[dict[str, object]]) -> list[Made]:
    """Make a series of volumes that differ in some attributes, its slices mixed."""
    shared = {
        **{name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")},
        "SOPClassUID": MRImageStorage,
        "Modality": "MR",
    }
    made = []
    for at, (array, own) in enumerate(zip(arrays, attributes, strict=True)):
        for k, one in enumerate(scan(array.astype(np.int16), AFFINE, AcquisitionNumber=at + 1, **shared)):
            one.dataset.InstanceNumber = k * len(arrays) + at + 1
            for keyword, value in own.items():
                setattr(one.dataset, keyword, value)
            made.append(Made(one.dataset, encode(one.dataset)))
    return made


def read(made: list[Made]):
    found = members_of(split_series(headers(made)))
    return found, [Volume.from_instances([one.data for one in made], plan=plan) for plan in found.plans]


def arrays(count: int) -> list[np.ndarray]:
    return [RANDOM.integers(1, 900, SHAPE) for _ in range(count)]


def diffusion(signals: list[np.ndarray], weights: list[tuple[float, tuple[float, ...]]]) -> list[Made]:
    stated = []
    for b_value, direction in weights:
        own: dict[str, object] = {"DiffusionBValue": b_value}
        if direction:
            own["DiffusionGradientOrientation"] = list(direction)
        stated.append(own)
    return series(signals, stated)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stated", "name", "unit", "values"),
    [
        ([{"EchoTime": t} for t in (30, 10, 20)], "echo time", "ms", (10, 20, 30)),
        ([{"DiffusionBValue": b} for b in (0.0, 1000.0, 500.0)], "b-value", "s/mm2", (0, 500, 1000)),
        ([{"TriggerTime": t} for t in (0, 400, 200)], "trigger time", "ms", (0, 200, 400)),
        (
            [
                {
                    "TemporalPositionIdentifier": t + 1,
                    "AcquisitionDateTime": f"2024010123595{9 - 9 * (t > 0)}",
                }
                for t in (0, 1, 2)
            ],
            *("number", "", (1, 2, 3)),
        ),
        (
            [
                {"TemporalPositionIdentifier": 1, "AcquisitionDateTime": "20240101235958.5"},
                {"TemporalPositionIdentifier": 2, "AcquisitionDateTime": "20240102000001"},
                {"TemporalPositionIdentifier": 3, "AcquisitionDateTime": "20240102000101"},
            ],
            *("time", "s", (0, 2.5, 62.5)),
        ),
    ],
)
def test_volumes_are_ordered_by_what_they_state(stated, name, unit, values) -> None:
    found, _ = read(series(arrays(3), stated))
    assert (found.axis.name, found.axis.unit, found.axis.values) == (name, unit, values)


@pytest.mark.slow
def test_mean_maximum_and_difference_are_numpys() -> None:
    due = arrays(4)
    due[2][0, :2] = 0
    made = series(due, [{"TemporalPositionIdentifier": t + 1, "PixelPaddingValue": 0} for t in range(4)])
    for one in made:
        one.dataset["PixelPaddingValue"].VR = "SS"
    made = [Made(one.dataset, encode(one.dataset)) for one in made]
    _, volumes = read(made)
    stack = np.where(np.stack(due) == 0, np.nan, np.stack(due))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert np.allclose(mean(volumes).array, np.nanmean(stack, 0), equal_nan=True)
        assert np.allclose(maximum(volumes).array, np.nanmax(stack, 0), equal_nan=True)
    changed = difference(volumes[2], volumes[0]).array
    assert np.allclose(changed, stack[2] - stack[0], equal_nan=True)
    assert np.isnan(changed[0, :2]).all()


@pytest.mark.slow
def test_curves_are_numpys_in_regions_and_at_points() -> None:
    due = arrays(4)
    _, volumes = read(series(due, [{"TemporalPositionIdentifier": t + 1} for t in range(4)]))
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 1:4, 2:5] = 1
    labels[2, :2, 0] = 2
    drawn = Segmentation.from_array(labels, volumes[0], names=["liver", "tumor"])
    found = region_curve(volumes, drawn)
    for one in found:
        region = due[one.at][labels == (1 if one.label == "liver" else 2)]
        assert one.values is not None
        assert (one.values.count, one.values.maximum) == (region.size, region.max())
        assert one.values.mean == pytest.approx(region.mean())
    assert len(found) == 8
    point = (AFFINE @ [2, 3.3, 1.2, 1])[:3]
    assert [one.values and one.values.mean for one in voxel_curve(volumes, point)] == [
        a[2, 3, 1] for a in due
    ]
    with pytest.raises(GeometryError, match="outside the images"):
        voxel_curve(volumes, (900, 0, 0))


@pytest.mark.slow
def test_the_coefficient_is_numpys_least_squares(tmp_path: Path) -> None:
    weights: list[tuple[float, tuple[float, ...]]] = [(0.0, ())]
    weights += [(b, direction) for b in (500.0, 1000.0) for direction in DIRECTIONS]
    truth = RANDOM.uniform(0.5e-3, 2.5e-3, SHAPE)
    signals = [np.round(20000 * np.exp(-b * truth) + RANDOM.normal(0, 50, SHAPE)) for b, _ in weights]
    signals[3][1, 2, 3] = 0
    made = diffusion(signals, weights)
    found, volumes = read(made)
    result, remarks = apparent_diffusion(volumes, found.axis, found.plans)
    assert remarks == ()
    with np.errstate(divide="ignore"):
        logs = np.log(np.stack(signals)).reshape(len(weights), -1)
    logs[:, ~np.isfinite(logs).all(0)] = np.nan
    design = np.vander([b for b, _ in weights], 2)
    there = np.isfinite(logs).all(0)
    due = np.full(logs.shape[1], np.nan)
    due[there] = -np.linalg.lstsq(design, logs[:, there], rcond=None)[0][0] * 1e6
    assert np.allclose(result.volume.array.ravel(), due, rtol=1e-4, equal_nan=True)
    assert np.nanmax(np.abs(result.volume.array / truth / 1e6 - 1)) < 0.05
    data = to_bytes(written := parametric_map_to_dicom(result, headers(made)))
    check_with_dciodvfy(data, tmp_path)
    named = {
        one.ReferencedSOPInstanceUID
        for item in written.ReferencedSeriesSequence
        for one in item.ReferencedInstanceSequence
    }
    assert named == {one.instance for one in made}
    mapping = hd.pm.ParametricMap.from_dataset(written).SharedFunctionalGroupsSequence[0]
    (mapping,) = mapping.RealWorldValueMappingSequence
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "um2/s"
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "113041"


@pytest.mark.slow
def test_trace_weighting_is_the_geometric_mean_over_directions() -> None:
    weights = [(0.0, ()), *((1000.0, direction) for direction in DIRECTIONS)]
    signals = arrays(4)
    found, volumes = read(diffusion(signals, weights))
    result = trace_weighted(volumes, found.axis, found.plans, 1000)
    assert np.allclose(result.volume.array, np.prod(np.stack(signals[1:]), 0, dtype=float) ** (1 / 3))
    with pytest.raises(GeometryError, match="there are 1000 s/mm2"):
        trace_weighted(volumes, found.axis, found.plans, 800)


@pytest.mark.slow
@pytest.mark.parametrize(
    "directions", [((1.0, 0, 0), (0, 1.0, 0), (0.6, 0.8, 0)), ((0, 0, 1.0), (0, 0, -1.0), (1.0, 0, 0))]
)
def test_directions_in_a_plane_are_no_mean(directions) -> None:
    found, volumes = read(diffusion(arrays(4), [(0.0, ()), *((800.0, one) for one in directions)]))
    _, (remark,) = apparent_diffusion(volumes, found.axis, found.plans)
    assert "do not span space" in remark
    with pytest.raises(GeometryError, match="do not state three gradient directions"):
        trace_weighted(volumes, found.axis, found.plans, 800)


@pytest.mark.slow
def test_what_volumes_differ_in_is_not_stated_of_what_is_made_of_all(tmp_path: Path) -> None:
    """A mean over echoes has no echo time; what all have in common stays."""
    for own in (
        [{"EchoTime": t, "RepetitionTime": 900} for t in (10, 20, 30)],
        [{"DiffusionBValue": float(b), "RepetitionTime": 900} for b in (0, 500, 1000)],
    ):
        made = series(arrays(3), own)
        _, volumes = read(made)
        for volume in (mean(volumes), difference(volumes[2], volumes[0])):
            written = derived_to_dicom(Derivation(volume, MADE, "of all"), headers(made))
            check_with_dciodvfy(to_bytes(written[0]), tmp_path)
            for one in written:
                assert not one.get("EchoTime")
                assert "DiffusionBValue" not in one
                assert one.RepetitionTime == 900
        single = derived_to_dicom(Derivation(volumes[2], MADE, "of one"), headers(made))
        assert all(one[name].value == value for one in single for name, value in own[2].items())


def test_refusals() -> None:
    with pytest.raises(GeometryError, match="does not hold several volumes"):
        read(series(arrays(1), [{}]))
    found, volumes = read(series(arrays(2), [{"EchoTime": 10}, {"EchoTime": 20}]))
    with pytest.raises(GeometryError, match="two different b-values"):
        apparent_diffusion(volumes, found.axis, found.plans)
