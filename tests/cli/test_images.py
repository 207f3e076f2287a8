"""NIfTI and NRRD from the command line: out for other programs, and what they made of it back in."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from tests.builders import write
from tests.imaging.scans import AXIAL, scan
from tests.machine import processor_time

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import read_segmentation

SHAPE = (6, 10, 12)


def label_map(path, array, affine=AXIAL):
    matrix = VolumeGeometry(array.shape, affine).ijk_to_ras
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), matrix), path)
    return path


def labels(shape=SHAPE):
    array = np.zeros(shape, np.uint8)
    array[1:4, 2:7, 3:9] = 1
    array[3:5, 5:9, 1:6] = 2
    return array


def stored(settings, resource):
    with Archive.open(settings) as archive:
        (instance,) = archive.instances(Resource.parse(resource))
        return instance.path.read_bytes()


@pytest.fixture
def series(run, tmp_path):
    made = scan((np.arange(np.prod(SHAPE)) % 840).reshape(SHAPE).astype(np.int16), SeriesNumber=2)
    assert run("import", *write(tmp_path / "made", made)).code == 0
    return f"{made[0].study}/{made[0].series}"


@pytest.mark.slow
def test_libraries_do_not_talk_to_the_user_of_a_command(run, process, tmp_path):
    made = scan(np.zeros((3, 4, 4), np.int16), AcquisitionNumber="12")
    odd = [one.data.replace(b"IS\x02\x0012", b"IS\x02\x001A") for one in made]
    assert odd != [one.data for one in made]
    for at, data in enumerate(odd):
        (tmp_path / f"{at}.dcm").write_bytes(data)
    assert run("import", tmp_path).code == 0
    exported = process("export", made[0].study, tmp_path / "out", "--format", "nifti")
    assert (exported.code, exported.err) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(("form", "ending"), [("nifti", ".nii.gz"), ("nrrd", ".seg.nrrd")])
def test_out_and_in_again(run, settings, series, tmp_path, form, ending):
    path = label_map(tmp_path / "labels.nii.gz", labels())
    made = run("import", path, "--segments-of", series, "--label", "1=liver", "--label", "2=tumor", "--json")
    assert made.code == 0, made.err
    assert made.json["segments"] == [{"label": "liver", "voxels": 84}, {"label": "tumor", "voxels": 40}]
    study = series.split("/")[0]
    exported = run("export", study, tmp_path / "out", "--format", form, "--json")
    assert exported.code == 0, exported.err
    assert len(exported.json["files"]) == 2
    (again,) = (tmp_path / "out" / one["path"] for one in exported.json["files"] if "SEG" in one["path"])
    assert again.name.endswith(ending)
    back = run("import", again, "--json")
    assert back.code == 0, back.err
    found = read_segmentation(stored(settings, back.json["resource"]))
    assert [segment.label for segment in found.segments] == ["liver", "tumor"]
    assert [segment.mask.count for segment in found.segments] == [84, 40]
    assert run("export", study, tmp_path / "out", "--format", form).code == 2


@pytest.mark.slow
def test_structures_from_the_command_line(run, settings, series, tmp_path):
    path = label_map(tmp_path / "labels.nii.gz", labels())
    made = run("import", path, "--structures-of", series, "--label", "1=liver", "--json")
    assert made.code == 0, made.err
    exported = run("export", made.json["resource"], tmp_path / "out", "--format", "nrrd", "--json")
    assert exported.code == 0, exported.err
    (one,) = exported.json["files"]
    assert "RTSTRUCT" in one["path"]
    assert one["remarks"] == []


@pytest.mark.slow
def test_a_derived_volume(run, series, tmp_path):
    path = label_map(tmp_path / "smoothed.nii", np.ones(SHAPE, np.int16))
    made = run(
        "import", path, "--derived-from", "Modality=CT SeriesNumber=2", "--description", "Smoothed", "--json"
    )
    assert made.code == 0, made.err
    assert made.json["instances"] == SHAPE[0]
    listed = run("list", series.split("/")[0]).out
    assert "Smoothed" in listed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["labels.nii.gz"], 2, "--segments-of"),
        (["labels.nii.gz", "--segments-of", "Modality=CT", "--label", "liver"], 2, "VALUE=NAME"),
        (["labels.nii.gz", "--segments-of", "Modality=CT", "--label", "1=a", "--label", "1=b"], 2, "twice"),
        (["labels.nii.gz", "--segments-of", "Modality=MR"], 1, "nothing that matches"),
        (["labels.nii.gz", "--segments-of", "PatientID=P1"], 2, "not one series"),
        (["labels.nii.gz", "--segments-of", "1.2/3.4"], 1, "not in the local archive"),
        (["labels.nii.gz", "made", "--segments-of", "Modality=CT"], 2, "at a time"),
        (["made", "--label", "1=liver"], 2, "--segments-of"),
        (["labels.nii.gz", "moved.nii.gz"], 2, "at a time"),
        (["labels.nii.gz", "--derived-from", "Modality=CT", "--label", "1=a"], 2, "no labels"),
        (["made/0.dcm", "--segments-of", "Modality=CT"], 2, "named neither"),
        (["moved.nii.gz", "--segments-of", "Modality=CT"], 1, "another grid"),
    ],
)
def test_what_cannot_be_meant_is_reported(run, series, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    label_map(tmp_path / "labels.nii.gz", labels())
    moved = AXIAL.copy()
    moved[0, 3] += 0.3
    label_map(tmp_path / "moved.nii.gz", labels(), moved)
    ran = run("import", *words)
    assert (ran.code, said in ran.err) == (code, True), ran.err


@pytest.mark.slow
def test_resampling_is_reported(run, series, tmp_path):
    moved = AXIAL.copy()
    moved[0, 3] += 0.3
    path = label_map(tmp_path / "moved.nii.gz", labels(), moved)
    ran = run(
        "import", path, "--segments-of", series, "--resample", "--kind", "labelmap", "--description", "Mine"
    )
    assert ran.code == 0
    assert "Mine" in run("list", series.split("/")[0]).out
    assert "resampled" in ran.err


@pytest.mark.slow
def test_what_cannot_be_written_is_named(run, series, tmp_path):
    report = scan(np.zeros((1, 4, 4), np.int16))[0].dataset
    del report.ImagePositionPatient
    from tests.builders import Made, encode

    run("import", *write(tmp_path / "flat", [Made(report, encode(report))]))
    alone = run("export", report.StudyInstanceUID, tmp_path / "out", "--format", "nrrd", "--json")
    assert alone.code == 1
    assert alone.json["files"] == []
    assert "no position" in alone.json["failures"][0]["reason"]
    both = run("export", report.StudyInstanceUID, series, tmp_path / "out", "--format", "nrrd")
    assert both.code == 3
    assert run("export", series, tmp_path / "zip", "--format", "nrrd", "--zip").code == 2


@pytest.mark.slow
def test_a_large_label_map_takes_seconds(process, run, tmp_path):
    shape = (200, 512, 512)
    made = scan(np.zeros(shape, np.int16))
    assert run("import", *write(tmp_path / "made", made)).code == 0
    k, j, i = np.ogrid[:200, :512, :512]
    array = np.zeros(shape, np.uint8)
    array[((k - 100) / 80) ** 2 + ((j - 256) / 150) ** 2 + ((i - 200) / 120) ** 2 < 1] = 1
    array[((k - 120) / 50) ** 2 + ((j - 200) / 60) ** 2 + ((i - 380) / 80) ** 2 < 1] = 2
    path = label_map(tmp_path / "labels.nii.gz", array)
    with processor_time(at_most=10):
        ran = process("import", path, "--segments-of", f"{made[0].study}/{made[0].series}")
    assert ran.code == 0, ran.err
