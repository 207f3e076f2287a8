"""Meshes of segments: closed, of the right size, and read by VTK."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dicomdock.imaging.formats.meshes import to_glb, to_mtl, to_obj, to_stl
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.mesh import Mesh, meshes_of, surface_of
from dicomdock.imaging.segmentation import Mask, Segmentation
from dicomdock.imaging.statistics import measure_shape

# k, j, i -> LPS: an oblique, left-handed grid of unequal spacings
OBLIQUE = VolumeGeometry(
    (30, 40, 50),
    np.array(
        [[0.5, -0.2, 1.1, -20], [0.3, 1.4, 0.1, 35], [2.1, -0.1, -0.3, 7], [0, 0, 0, 1]], dtype=np.float64
    ),
)


def enclosed(points, triangles):
    """Volume in mm3 by the divergence theorem, positive where triangles are anticlockwise from outside."""
    a, b, c = np.moveaxis((points - points.mean(axis=0))[triangles], 1, 0)
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def area(points, triangles):
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


@pytest.mark.slow
@given(arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=5)), st.booleans())
def test_a_surface_is_closed_and_has_the_area_of_the_statistics(voxels, mirrored):
    affine = OBLIQUE.affine.copy()
    if mirrored:
        affine[:, 2] *= -1
    grid = VolumeGeometry(voxels.shape, affine)
    points, triangles = surface_of(Mask.of(voxels), grid)
    edges = [(int(a), int(b)) for one in triangles for a, b in zip(one, np.roll(one, -1), strict=True)]
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)
    if not voxels.any():
        assert not len(points)
        return
    assert area(points, triangles) == pytest.approx(measure_shape(voxels, grid).surface)
    assert enclosed(points, triangles) > 0


def ball() -> Segmentation:
    """Two segments: a ball of 15 mm, and a box, in the patient's space."""
    at = OBLIQUE.to_lps(np.stack(np.indices(OBLIQUE.shape), axis=-1))
    middle = OBLIQUE.to_lps([15, 20, 25])
    labels = (np.linalg.norm(at - middle, axis=-1) < 15).astype(np.uint8)
    labels[2:5, 2:9, 2:12] = 2
    return Segmentation.from_array(
        labels, OBLIQUE, names=["ball", "long box"], colours=[(255, 0, 0), (0, 128, 0)]
    )


def test_smoothing_keeps_the_size_and_takes_the_steps_away():
    (rough, _), (smooth, _) = (list(meshes_of(ball(), rounds)) for rounds in (0, 20))
    true_volume, true_area = 4 / 3 * np.pi * 15**3, 4 * np.pi * 15**2
    assert enclosed(rough.points, rough.triangles) == pytest.approx(true_volume, rel=0.02)
    assert enclosed(smooth.points, smooth.triangles) == pytest.approx(true_volume, rel=0.02)
    assert area(rough.points, rough.triangles) > 1.06 * true_area
    assert area(smooth.points, smooth.triangles) == pytest.approx(true_area, rel=0.02)
    radii = np.linalg.norm(smooth.points - OBLIQUE.to_lps([15, 20, 25]), axis=1)
    assert radii.std() < 0.3
    assert radii.mean() == pytest.approx(15, abs=0.3)


@pytest.mark.slow
def test_vtk_reads_what_was_written(tmp_path):
    geometry = pytest.importorskip("vtkmodules.vtkIOGeometry")
    numpy_support = pytest.importorskip("vtkmodules.util.numpy_support")
    from vtkmodules.vtkFiltersCore import vtkMassProperties

    meshes = list(meshes_of(ball()))
    volumes = [enclosed(one.points, one.triangles) for one in meshes]

    def points_of(data):
        return numpy_support.vtk_to_numpy(data.GetPoints().GetData())

    def volume_of(data):
        measured = vtkMassProperties()
        measured.SetInputData(data)
        return measured.GetVolume()

    (tmp_path / "one.stl").write_bytes(to_stl(meshes[:1]))
    stl = geometry.vtkSTLReader()
    stl.SetFileName(str(tmp_path / "one.stl"))
    stl.Update()
    assert stl.GetHeader().startswith("SPACE=LPS")
    assert stl.GetOutput().GetNumberOfPoints() == len(meshes[0].points)
    assert volume_of(stl.GetOutput()) == pytest.approx(volumes[0], rel=1e-3)
    assert points_of(stl.GetOutput()).min(axis=0) == pytest.approx(meshes[0].points.min(axis=0), abs=1e-3)

    (tmp_path / "both.obj").write_text(to_obj(meshes, "both.mtl"))
    (tmp_path / "both.mtl").write_text(to_mtl(meshes))
    obj = geometry.vtkOBJReader()
    obj.SetFileName(str(tmp_path / "both.obj"))
    obj.Update()
    expected = np.concatenate([one.points for one in meshes])
    assert points_of(obj.GetOutput()) == pytest.approx(expected, abs=1e-3)
    assert obj.GetOutput().GetNumberOfPolys() == sum(len(one.triangles) for one in meshes)

    (tmp_path / "both.glb").write_bytes(to_glb(meshes))
    gltf = geometry.vtkGLTFReader()
    gltf.SetFileName(str(tmp_path / "both.glb"))
    gltf.Update()
    blocks, found = gltf.GetOutput().NewTreeIterator(), []
    blocks.InitTraversal()
    while not blocks.IsDoneWithTraversal():
        found.append(blocks.GetCurrentDataObject())
        blocks.GoToNextItem()
    assert len(found) == 2
    for data, mesh, volume in zip(found, meshes, volumes, strict=True):
        left, up, forwards = points_of(data).T * 1000
        turned = np.column_stack([left, -forwards, up])
        assert turned == pytest.approx(mesh.points, abs=1e-2)
        assert volume_of(data) * 1e9 == pytest.approx(volume, rel=1e-3)


def test_names_cannot_break_a_file():
    mesh = Mesh("a\nv 1 2 3", (0, 0, 0), np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert "\no a v 1 2 3\n" in to_obj([mesh])
    assert to_stl([]).startswith(b"SPACE=LPS")
