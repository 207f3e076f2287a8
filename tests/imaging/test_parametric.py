"""Parametric maps."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from dicomdock.errors import GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.formats.nrrd import volume_from_nrrd
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.parametric import ParametricMap, parametric_map_to_dicom, read_parametric_map
from dicomdock.imaging.terminology import Code
from dicomdock.imaging.volume import Volume
from tests.imaging.scans import check_with_dciodvfy, grid, headers, oblique, scan

SHAPE = (4, 6, 7)
ADC = Code("113041", "DCM", "Apparent Diffusion Coefficient")
UNIT = Code("um2/s", "UCUM", "um2/s")
TURNED = oblique((0.2, -0.1, 0.3), (2, 0.7, 0.7), (5, 6, 7))


def made() -> ParametricMap:
    values = np.random.default_rng(5).normal(800, 200, SHAPE).astype(np.float32)
    return ParametricMap(Volume(values, grid(SHAPE, TURNED)), UNIT, ADC, "ADC größer")


@pytest.mark.slow
def test_a_map_survives_dicom(tmp_path: Path) -> None:
    instances = scan(np.zeros(SHAPE, np.int16), TURNED)
    written = parametric_map_to_dicom(made(), headers(instances))
    data = to_bytes(written)
    check_with_dciodvfy(data, tmp_path)
    found = read_parametric_map(data)
    assert np.array_equal(found.volume.array, made().volume.array)
    assert found.volume.geometry.matches(made().volume.geometry)
    assert (found.unit, found.quantity, found.name) == (UNIT, ADC, "ADC größer")
    assert found.source_series == instances[0].series
    assert set(found.source_instances) == {one.instance for one in instances}
    assert written.StudyInstanceUID == instances[0].study
    assert found.region is not None
    again = parametric_map_to_dicom(found, headers(instances))
    assert again.InstanceNumber == 2


def test_highdicom_reads_the_same_values() -> None:
    instances = scan(np.zeros(SHAPE, np.int16), TURNED)
    written = parametric_map_to_dicom(made(), headers(instances))
    volume = hd.pm.ParametricMap.from_dataset(written).get_volume()
    if volume.affine[:3, 0] @ TURNED[:3, 0] < 0:
        volume = volume.flip_spatial(0)
    assert np.allclose(volume.array, made().volume.array)
    assert np.allclose(volume.affine, TURNED, atol=1e-4)


@pytest.mark.slow
def test_dcmqi_reads_the_same_values(tmp_path: Path) -> None:
    program = shutil.which("paramap2itkimage")
    if program is None:
        pytest.skip("paramap2itkimage is not here; to run this test: pip install dcmqi")
    instances = scan(np.zeros(SHAPE, np.int16), TURNED)
    (tmp_path / "map.dcm").write_bytes(to_bytes(parametric_map_to_dicom(made(), headers(instances))))
    done = [program, "--inputDICOM", tmp_path / "map.dcm", "--outputDirectory", tmp_path, "-t", "nrrd"]
    subprocess.run(done, check=True, capture_output=True, timeout=60)
    (file,) = tmp_path.glob("*.nrrd")
    found = volume_from_nrrd(file.read_bytes())
    assert np.allclose(found.array, made().volume.array)
    assert np.allclose(found.affine, TURNED, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_map_with_holes_survives_dicom(hole: float, tmp_path: Path) -> None:
    instances = scan(np.zeros(SHAPE, np.int16), TURNED)
    array = made().volume.array.copy()
    array[:, :2] = hole
    for holed in (array, np.full(SHAPE, hole, np.float32)):
        volume = Volume(holed, grid(SHAPE, TURNED))
        data = to_bytes(parametric_map_to_dicom(ParametricMap(volume), headers(instances)))
        check_with_dciodvfy(data, tmp_path)
        found = read_parametric_map(data).volume
        assert np.array_equal(found.array, holed, equal_nan=True)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_window_of_a_scaled_map_shows_what_its_stored_numbers_do(function: str) -> None:
    """The window of the header is for the numbers before they are mapped to real-world values."""
    sources = headers(scan(np.zeros(SHAPE, np.int16), TURNED))
    stored = np.random.default_rng(3).integers(0, 1000, SHAPE).astype(np.uint16)
    mapping = hd.pm.RealWorldValueMapping("ADC", "ADC", UNIT, (0, 1000), slope=-0.001, intercept=2)
    shown = hd.VOILUTTransformation(window_center=400.0, window_width=500.0, voi_lut_function=function)
    dataset = hd.pm.ParametricMap(
        sources,
        stored,
        *(hd.UID(), 1, hd.UID(), 1, "m", "m", "1", "1", False),
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[shown],
    )
    volume = read_parametric_map(dataset).volume
    window = volume.window()
    expected = 2 - 0.001 * (399.5 if function == "LINEAR" else 400)
    assert window.center == pytest.approx(expected)
    assert window.width == pytest.approx(0.499 if function == "LINEAR" else 0.5)
    assert volume.array.max() <= 2


def test_a_map_without_a_linear_mapping_states_no_unit() -> None:
    written = parametric_map_to_dicom(made(), headers(scan(np.zeros(SHAPE, np.int16), TURNED)))
    (mapping,) = written.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    del mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept
    mapping.RealWorldValueLUTData = [1.0, 4.0, 9.0]
    (plan,) = split_series([written])
    assert plan.units == ""


def test_refusals() -> None:
    instances = headers(scan(np.zeros(SHAPE, np.int16)))
    with pytest.raises(GeometryError, match="not a Parametric Map"):
        read_parametric_map(instances[0])
    with pytest.raises(GeometryError, match="needs the images"):
        parametric_map_to_dicom(made(), [])
    flat = ParametricMap(Volume(np.zeros(SHAPE), grid(SHAPE), spatial=False))
    with pytest.raises(GeometryError, match="place in the patient"):
        parametric_map_to_dicom(flat, instances)
