"""NIfTI and NRRD in and out of the archive: the same voxels, and nothing that does not fit in silence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from dicomdock import Archive, Resource, Segmentation, Volume
from dicomdock.errors import EmptyResult, GeometryError, InvalidInput, NotInArchive, UnreadableFile
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.volume import Volume as PlainVolume
from tests.api.conftest import AFFINE, SHAPE, labels, two_echoes, values
from tests.builders import Made, document, encode, write
from tests.imaging.scans import grid, oblique, scan


def nifti(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write a file as another program would."""
    matrix = VolumeGeometry(array.shape, affine).ijk_to_ras
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), matrix), path)
    return path


def export(archive: Archive, resource: str, folder: Path, form: str) -> list[Path]:
    outcomes = list(archive.export_as([resource], folder, form))
    assert {one.status for one in outcomes} == {"written"}
    assert outcomes[-1].done == outcomes[-1].total
    return [folder / one.path for one in outcomes]


def interrupted(*_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("form", ["nifti", "nrrd"])
def test_what_is_exported_comes_back_as_it_was(archive, series, tmp_path, form):
    segmentation = Segmentation.from_array(labels(), archive.volume(series), names=["liver", "left kidney"])
    place = segmentation.save()
    image, drawing = export(archive, place.study, tmp_path / "out", form)
    assert (image.parent.parent.name, image.name.split(".")[0]) == ("Doe Jane P1", "4 MR T1")
    assert np.array_equal(Volume.from_file(image).array, values())
    note = json.loads((drawing.parent / f"{drawing.name.split('.')[0]}.json").read_text())
    assert (note["resource"], note["images"]) == (str(place), series)
    made = archive.import_segmentation(drawing)  # the note beside it knows the series
    assert np.array_equal(made.to_array(), labels())
    assert [one.label for one in made.segments] == ["liver", "left kidney"]
    assert [one.terminology for one in made.segments] == [one.terminology for one in segmentation.segments]
    assert [one.colour for one in made.segments] == [one.colour for one in segmentation.segments]
    assert archive.present(made.save())
    with pytest.raises(InvalidInput, match="is there already"):
        export(archive, place.study, tmp_path / "out", form)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("dicomdock.api.export.write_segmentation", interrupted)
        export(archive, place.study, tmp_path / "killed", form)
    again = export(archive, place.study, tmp_path / "killed", form)
    assert {image.name, drawing.name} < {one.name for one in again}
    assert not [*(tmp_path / "killed").glob(".dicomdock*")]


@pytest.mark.slow
def test_a_reoriented_label_map_is_the_same_voxels(archive, series, tmp_path):
    path = nifti(tmp_path / "labels.nii.gz", labels())
    image = nib.load(path)
    turned = image.as_reoriented(nib.orientations.axcodes2ornt(("P", "S", "R")))
    nib.save(turned, tmp_path / "turned.nii")
    made = archive.import_segmentation(tmp_path / "turned.nii", series, names={1: "liver"})
    assert np.array_equal(made.to_array(), labels())
    assert [one.label for one in made.segments] == ["liver", "Segment 2"]
    assert archive.segmentation(made.save()).name == "turned"


@pytest.mark.slow
def test_another_grid_is_resampled_on_wish_only(archive, series, tmp_path):
    coarse = AFFINE.copy()
    coarse[:3, :3] *= 2
    path = nifti(tmp_path / "coarse.nii.gz", labels()[::2, ::2, ::2].copy(), coarse)
    with pytest.raises(GeometryError, match=r"3 x 5 x 6 voxels of 4 x 1.6 x 1.2 mm .* ask to resample"):
        archive.import_segmentation(path, series)
    made = archive.import_segmentation(path, series, resample=True)
    assert made.shape == SHAPE
    assert "resampled" in made.remarks[0]
    assert made.segments[0].mask.count == pytest.approx(np.count_nonzero(labels() == 1), rel=0.5)


@pytest.mark.slow
def test_what_reaches_out_of_the_images_is_not_cut_in_silence(archive, series, tmp_path):
    larger = np.pad(labels(), ((0, 4), (0, 0), (0, 0)))
    path = nifti(tmp_path / "larger.nii", larger)
    assert np.array_equal(archive.import_segmentation(path, series).to_array(), labels())
    larger[7, 3, 3] = 2
    with pytest.raises(GeometryError, match="or reaches out of it"):
        archive.import_segmentation(nifti(path, larger), series)
    assert np.array_equal(archive.import_segmentation(path, series, resample=True).to_array(), labels())


@pytest.mark.slow
def test_a_file_without_a_place_fits_nothing(archive, series, tmp_path):
    image = nib.Nifti1Image(labels().transpose(2, 1, 0), None)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nib.save(image, tmp_path / "placeless.nii")
    for resample in (False, True):
        with pytest.raises(GeometryError, match="does not say how it lies"):
            archive.import_segmentation(tmp_path / "placeless.nii", series, resample=resample)
    with pytest.raises(GeometryError, match="does not say how it lies"):
        archive.import_derived(tmp_path / "placeless.nii", series)


def test_what_is_asked_for_must_be_there(archive, series, tmp_path):
    path = nifti(tmp_path / "labels.nii.gz", labels())
    with pytest.raises(InvalidInput, match="which series it was drawn on"):
        archive.import_segmentation(path)
    with pytest.raises(NotInArchive):
        archive.import_segmentation(path, "1.2.3/4.5.6")
    with pytest.raises(InvalidInput, match="no voxels of value 3"):
        archive.import_segmentation(path, series, names={3: "spleen"})
    with pytest.raises(InvalidInput, match="No such file"):
        archive.import_segmentation(tmp_path / "none.nii", series)
    with pytest.raises(GeometryError, match="whole numbers"):
        archive.import_segmentation(nifti(path, values().astype(np.float32) / 3), series)
    (tmp_path / "damaged.nii.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(UnreadableFile, match="cannot be"):
        archive.import_segmentation(tmp_path / "damaged.nii.gz", series)
    assert archive.summary().instances == len(values())  # nothing of all this was stored


@pytest.mark.slow
def test_notes_of_others_are_passed_over_and_damaged_ones_named(archive, series, tmp_path):
    path = nifti(tmp_path / "labels.nii.gz", labels())
    note = tmp_path / "labels.json"
    note.write_text('{"EchoTime": 0.03}')
    assert len(archive.import_segmentation(path, series).segments) == 2
    note.write_text(json.dumps({"resource": series, "segments": {"1": "liver"}}))
    with pytest.raises(InvalidInput, match="damaged"):
        archive.import_segmentation(path, series)


@pytest.mark.slow
def test_a_volume_becomes_a_derived_series(archive, series, tmp_path):
    path = nifti(tmp_path / "smoothed.nii.gz", values() + 7)
    made = archive.import_derived(path, series, description="Smoothed, 2 mm")
    place = made.save()
    assert place.study == series.split("/")[0]
    again = archive.volume(place)
    assert np.array_equal(again.array, values() + 7)
    assert again.frame_of_reference == archive.volume(series).frame_of_reference
    image = nib.load(path)
    nib.save(image.as_reoriented(nib.orientations.axcodes2ornt(("S", "R", "P"))), tmp_path / "turned.nii.gz")
    turned = archive.import_derived(tmp_path / "turned.nii.gz", series)
    assert np.array_equal(turned.array, values() + 7)
    assert turned.geometry.matches(archive.volume(series).geometry)
    assert "turned" in archive.instances(turned.save())[0].path.read_bytes().decode("latin-1")
    four = nib.Nifti1Image(np.zeros((4, 5, 6, 2), np.int16), np.eye(4))
    nib.save(four, tmp_path / "four.nii")
    with pytest.raises(GeometryError, match="holds 2 volumes"):
        archive.import_derived(tmp_path / "four.nii", series)


@pytest.mark.slow
def test_what_has_no_voxels_is_passed_over_and_what_cannot_be_written_is_named(archive, series, tmp_path):
    study = series.split("/")[0]
    list(archive.import_paths(write(tmp_path / "report", [document(StudyInstanceUID=study)])))
    masks = np.stack([labels() > 0, labels() == 2])
    place = Segmentation.from_array(masks, archive.volume(series)).save()
    outcomes = {one.status: one for one in archive.export_as([study], tmp_path / "out", "nifti")}
    assert outcomes["written"].resource == Resource.parse(series)
    assert outcomes["failed"].resource == place
    assert "overlap" in outcomes["failed"].reason
    assert "has no voxels" in outcomes["passed over"].reason
    assert len([*(tmp_path / "out").rglob("*.nii.gz")]) == 1
    with pytest.raises(NotInArchive):
        list(archive.export_as(["1.2.3"], tmp_path / "out", "nifti"))


@pytest.mark.slow
def test_segments_as_meshes(archive, series, tmp_path):
    drawn = Segmentation.from_array(labels(), archive.volume(series), names=["liver", "left kidney"])
    place = drawn.save()
    names = {}
    for form in ("stl", "obj", "gltf"):
        outcomes = archive.export_as([place.study], tmp_path / form, form)
        assert {one.reason for one in outcomes if one.status == "passed over"} == {
            "Meshes are made of segmentations and structure sets."
        }
        names[form] = [Path(one.path).name for one in outcomes if one.status == "written"]
        with pytest.raises(InvalidInput, match="is there already"):
            archive.export_as([place.study], tmp_path / form, form)
    assert [name.partition(" (")[2] for name in names["stl"]] == ["1) liver.stl", "2) left kidney.stl"]
    (obj,), (glb,) = names["obj"], names["gltf"]
    assert obj.endswith(".obj")
    assert glb.endswith(".glb")
    written = next((tmp_path / "obj").rglob("*.obj"))
    assert f"mtllib {written.stem}.mtl" in written.read_text()
    assert written.with_suffix(".mtl").exists()
    corners = np.array([line.split()[1:] for line in written.read_text().splitlines() if line[:2] == "v "])
    extent = drawn.geometry.to_lps(np.argwhere(labels()))  # mm, LPS: half a voxel around the centres
    voxel = np.abs(AFFINE[:3, :3]).sum(axis=1) / 2
    assert (corners.astype(float).min(axis=0) >= extent.min(axis=0) - voxel - 1e-3).all()
    assert (corners.astype(float).max(axis=0) <= extent.max(axis=0) + voxel + 1e-3).all()
    assert not next(iter(archive.export_as([series], tmp_path / "none", "stl"))).path
    drawn.to_file(tmp_path / "both.glb")
    assert (tmp_path / "both.glb").read_bytes()[:4] == b"glTF"
    rough = archive.export_as([place], tmp_path / "rough", "stl", smoothing=0)
    assert [one.size for one in rough] == [84 + 50 * len(one.triangles) for one in drawn.meshes(0)]


@pytest.mark.slow
def test_names_in_files_are_no_paths(archive, made, tmp_path):
    evil = replace_description(made, "../../../evil/../T1")
    list(archive.import_paths(write(tmp_path / "evil", evil)))
    (image,) = export(archive, evil[0].study, tmp_path / "out", "nrrd")
    assert (tmp_path / "out").resolve() in image.resolve().parents


def replace_description(made, description):
    from tests.builders import changed

    return [changed(one, SeriesDescription=description) for one in made]


def test_a_volume_on_any_grid_survives_a_file(tmp_path):
    geometry = grid(SHAPE, oblique((0.1, 0.7, -0.4), (3, 0.5, 0.5), (1, 2, 3)))
    volume = Volume.of(PlainVolume(values(), geometry))
    for name in ("a.nii", "b.nii.gz", "c.nrrd"):
        volume.to_file(tmp_path / name)
        volume.to_file(tmp_path / name)  # as a notebook does that runs again
        found = Volume.from_file(tmp_path / name)
        assert np.array_equal(found.array, values())
        assert found.geometry.matches(geometry)
    assert sorted(path.name for path in tmp_path.glob("?.*")) == ["a.nii", "b.nii.gz", "c.nrrd"]
    half = replace(volume, array=values().astype(np.float32) / 2)
    half.to_file(tmp_path / "half.nii.gz")
    assert np.array_equal(Volume.from_file(tmp_path / "half.nii.gz").array, half.array)
    with pytest.raises(InvalidInput, match="no series"):
        half.save(archive=object())


@pytest.mark.slow
def test_each_volume_of_a_series_has_a_file(archive, tmp_path):
    first, *_ = instances = two_echoes()
    list(archive.import_paths(write(tmp_path / "echoes", instances)))
    paths = export(archive, first.study, tmp_path / "out", "nifti")
    assert [path.name.rpartition("(")[2] for path in paths] == [
        "1) echo time 10.nii.gz",
        "2) echo time 30.nii.gz",
    ]
    assert np.array_equal(Volume.from_file(paths[1]).array, values() + 1)
    labelled = nifti(tmp_path / "labels.nii.gz", labels())
    made = archive.import_segmentation(labelled, f"{first.study}/{first.series}")
    assert np.array_equal(made.to_array(), labels())


@pytest.mark.slow
def test_each_echo_of_a_time_series_has_a_file_of_four_dimensions(archive, tmp_path):
    """As dcm2niix writes them; the echoes come by turns, one time point after the other."""
    made, same = [], {}
    for at, (time, echo) in enumerate((time, echo) for time in (1, 2, 3) for echo in (12, 34.5)):
        scanned = scan(values() + at, AFFINE, EchoTime=echo, AcquisitionNumber=time, **same)
        for one in scanned:
            one.dataset.InstanceNumber = at * len(scanned) + int(one.dataset.InstanceNumber)
            made.append(Made(one.dataset, encode(one.dataset)))
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            same[name] = scanned[0].dataset[name].value
    archive.import_paths(write(tmp_path / "echoes", made))
    paths = export(archive, made[0].study, tmp_path / "out", "nifti")
    assert [path.name.rpartition("(")[2] for path in paths] == [
        "1) echo time 12.nii.gz",
        "2) echo time 34.5.nii.gz",
    ]
    for first, path in enumerate(paths):
        image = nib.load(path)
        assert image.shape == (*SHAPE[::-1], 3)
        assert (image.get_fdata() - image.get_fdata()[..., :1]).max(axis=(0, 1, 2)).tolist() == [0, 2, 4]
        assert image.get_fdata()[..., 0].min() == values().min() + first


@pytest.mark.slow
def test_names_never_collide_and_a_failure_loses_nothing(archive, tmp_path):
    shared = {"SeriesNumber": 1, "SeriesDescription": "T1", "PatientID": "P1", "Modality": "MR"}
    first = scan(values(), AFFINE, EchoTime=10, **shared)
    study = {"StudyInstanceUID": first[0].study}
    same = {"SeriesInstanceUID": first[0].series, "FrameOfReferenceUID": first[0].dataset.FrameOfReferenceUID}
    second = scan(values() + 1, AFFINE, EchoTime=30, **shared, **study, **same)
    one_more = scan(values() + 2, AFFINE, **shared, **study)
    other = scan(values() + 3, AFFINE, **{**shared, "SeriesDescription": "T1 (2)"}, **study)
    archive.import_paths(write(tmp_path / "made", [*first, *second, *one_more, *other]))
    broken = archive.instances(f"{one_more[0].study}/{one_more[0].series}")[0].path
    outcomes = archive.export_as([first[0].study], tmp_path / "out", "nifti")
    assert [one.status for one in outcomes] == ["written"] * 4
    assert len({one.path.casefold() for one in outcomes}) == 4
    firsts = [int(Volume.from_file(tmp_path / "out" / one.path).array[0, 0, 0]) for one in outcomes]
    assert sorted(firsts) == [0, 1, 2, 3]
    broken.write_bytes(broken.read_bytes()[:-100])
    again = archive.export_as([first[0].study], tmp_path / "again", "nrrd")
    assert [one.status for one in again].count("failed") == 1
    assert [one.status for one in again].count("written") == 3


@pytest.mark.slow
def test_a_missing_slice_is_reported_with_the_file(archive, tmp_path):
    made = scan(values((24, 10, 12)), AFFINE)
    del made[10]
    archive.import_paths(write(tmp_path / "made", made))
    (outcome,) = archive.export_as([made[0].study], tmp_path / "out", "nifti")
    assert "1 slice is missing" in outcome.remarks[0]
    sidecar = json.loads((tmp_path / "out" / outcome.path.replace(".nii.gz", ".json")).read_text())
    assert sidecar["remarks"] == [*outcome.remarks]


@pytest.mark.slow
def test_a_tilted_volume_is_straightened_when_asked(archive, tmp_path):
    tilted = AFFINE.copy()
    tilted[:3, 0] += AFFINE[:3, 1]
    made = scan(values(), tilted)
    archive.import_paths(write(tmp_path / "made", made))
    (sheared,) = archive.export_as([made[0].study], tmp_path / "sheared", "nrrd")
    assert any("--straighten" in remark for remark in sheared.remarks)
    (straight,) = archive.export_as([made[0].study], tmp_path / "straight", "nrrd", straighten=True)
    found = Volume.from_file(tmp_path / "straight" / straight.path)
    assert not found.geometry.sheared
    assert found.geometry.spacing == pytest.approx((2, 0.8, 0.6), rel=1e-4)
    assert any("perpendicular" in remark for remark in straight.remarks)


@pytest.mark.slow
def test_a_label_map_beside_the_images_is_an_error_and_nothing_is_stored(archive, series, tmp_path):
    far = AFFINE.copy()
    far[:3, 3] += 1000
    path = nifti(tmp_path / "far.nii.gz", labels(), far)
    with pytest.raises(EmptyResult, match="nothing was stored"):
        archive.import_segmentation(path, series, resample=True)
    assert archive.summary().instances == len(values())


@pytest.mark.slow
def test_a_label_map_is_stored_as_a_structure_set_too(archive, series, tmp_path):
    path = nifti(tmp_path / "labels.nii.gz", labels())
    made = archive.import_segmentation(path, series, names={1: "heart", 2: "lung"}, kind="STRUCTURES")
    (instance,) = archive.instances(made.save(kind="STRUCTURES"))
    assert instance.sop_class_uid == "1.2.840.10008.5.1.4.1.1.481.3"
    assert np.array_equal(archive.segmentation(instance.resource).to_array(), labels())
    header = pydicom.dcmread(instance.path)
    assert (header.SeriesNumber, header.SeriesDescription) == (504, "labels")
    segmentation = Segmentation.from_array(labels(), archive.volume(series), names=["heart", "lung"])
    header = pydicom.dcmread(archive.instances(segmentation.save())[0].path)
    assert (header.SeriesNumber, header.SeriesDescription) == (104, "heart, lung")
