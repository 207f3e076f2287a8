"""The Python API: a series as an array, an array as a segmentation, and the way to a server and back."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.uid import CTImageStorage, generate_uid

import dicomdock
from dicomdock import Archive, Query, Resource, Segmentation, Settings, Volume
from dicomdock.dicom.json_model import text
from dicomdock.errors import ArchiveError, GeometryError, InvalidInput, NotInArchive
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.rtstruct import structures_to_dicom
from dicomdock.imaging.segmentation import Segmentation as PlainSegmentation
from dicomdock.imaging.segmentation import segmentation_to_dicom
from dicomdock.imaging.volume import Volume as PlainVolume
from tests.api.conftest import AFFINE, SHAPE, labels, two_echoes, values
from tests.builders import Made, composite, document, encode, write
from tests.builders import made as encoded
from tests.conftest import shared_data
from tests.imaging.scans import check_with_dciodvfy, headers, put_pixels, scan
from tests.servers.orthanc import Orthanc


def drawn(archive: Archive, series: str) -> Segmentation:
    return Segmentation.from_array(labels(), archive.volume(series), names=["liver", "tumor"])


def stored(archive: Archive, place: Resource) -> bytes:
    (instance,) = archive.instances(place)
    return instance.path.read_bytes()


@pytest.mark.slow
def test_a_series_is_an_array_with_its_place(archive, series):
    volume = archive.volume(series)
    assert np.array_equal(volume.array, values())
    assert np.allclose(volume.affine, AFFINE, atol=1e-4)
    assert (volume.series, volume.archive) == (Resource.parse(series), archive)
    assert repr(volume) == f"<Volume 6x10x12 int16, 2x0.8x0.6 mm of {series}>"
    assert [np.array_equal(one.array, values()) for one in archive.volumes(series)] == [True]


def test_the_archive_of_the_command_line_is_the_default(home):
    with Archive.open() as archive:
        assert archive.summary().instances == 0
    assert (home / "dicomdock" / "archive").is_dir()


def test_what_is_not_a_volume_is_refused_in_words(archive, series):
    study = series.split("/")[0]
    with pytest.raises(InvalidInput, match="is a study; name a series"):
        archive.volume(study)
    with pytest.raises(NotInArchive, match="not in the local archive"):
        archive.volume(f"{study}/1.2.3")
    with pytest.raises(GeometryError, match="not a DICOM Segmentation"):
        archive.segmentation(str(archive.instances(Resource.parse(series))[0].resource))
    with pytest.raises(InvalidInput, match="6 instances of MR; name one"):
        archive.segmentation(series)


def test_a_damaged_file_is_named(archive, series):
    damaged = archive.instances(Resource.parse(series))[2]
    damaged.path.write_bytes(damaged.path.read_bytes()[:100])
    with pytest.raises(ArchiveError, match=damaged.resource.instance):
        archive.volume(series)


@pytest.mark.slow
def test_one_of_several_volumes_is_named(archive, tmp_path):
    first, *_ = instances = two_echoes()
    list(archive.import_paths(write(tmp_path / "echoes", instances)))
    series = f"{first.study}/{first.series}"
    with pytest.raises(GeometryError, match=r"2 volumes: '.*10.*', '.*30.*'; name one"):
        archive.volume(series)
    names = [volume.name for volume in archive.volumes(series)]
    assert np.array_equal(archive.volume(series, name=names[1]).array, values() + 1)


@pytest.mark.slow
def test_a_segmentation_is_stored_in_the_study_of_its_images(archive, series, tmp_path):
    segmentation = drawn(archive, series)
    place = segmentation.save()
    assert place.study == series.split("/")[0]
    assert archive.instances(place)[0].made_here
    data = stored(archive, place)
    check_with_dciodvfy(data, tmp_path)
    dataset = pydicom.dcmread(archive.instances(place)[0].path)
    judge = highdicom.seg.Segmentation.from_dataset(dataset)
    found = judge.get_volume(combine_segments=True)
    for value, count in ((1, 84), (2, 40)):
        assert np.count_nonzero(found.array == value) == count
        centre = found.map_indices_to_reference(np.argwhere(found.array == value)).mean(axis=0)
        mine = archive.volume(series).geometry.to_lps(np.argwhere(labels() == value)).mean(axis=0)
        assert np.allclose(centre, mine, atol=1e-3)
    assert judge.PatientName == "Doe^Jane"
    assert [judge.get_segment_description(number).segment_label for number in (1, 2)] == ["liver", "tumor"]
    images = [
        (str(place.study), series.split("/")[1], one) for one in archive.present(Resource.parse(series))
    ]
    assert set(judge.get_source_image_uids()) <= set(images)
    back = archive.segmentation(place)
    assert np.array_equal(back.to_array(), labels())
    assert (back.images, back.remarks) == (Resource.parse(series), ())
    assert archive.segmentation(f"{place.study}/{place.series}").images == Resource.parse(series)


@pytest.mark.slow
def test_saving_again_changes_nothing_and_a_change_is_a_new_version(archive, series):
    segmentation = drawn(archive, series)
    place = segmentation.save()
    assert segmentation.save() == place
    back = archive.segmentation(place)
    changed = replace(back, segments=back.segments[:1])
    newer = changed.save()
    assert newer != place
    dataset = pydicom.dcmread(archive.instances(newer)[0].path)
    assert dataset.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == place.instance
    archive.remove(place)
    again = segmentation.save()
    assert again != place
    assert archive.present(again)


@pytest.mark.slow
def test_images_are_found_where_the_volume_came_from_elsewhere(archive, made, series, settings):
    volume = PlainVolume.from_instances([one.data for one in made])
    segmentation = Segmentation.from_array(labels(), volume, names={1: "liver", 2: "tumor"})
    with pytest.raises(InvalidInput, match="comes from no archive"):
        segmentation.save()
    place = segmentation.save(archive)
    assert np.array_equal(archive.segmentation(place).to_array(), labels())
    with Archive.open(replace(settings, archive=settings.archive.with_name("other"))) as other:
        with pytest.raises(NotInArchive, match="images"):
            segmentation.save(other)
        with pytest.raises(NotInArchive, match=series):
            segmentation.save(other, images=series)
        data = stored(archive, place)
        path = settings.archive.with_name("seg.dcm")
        path.write_bytes(data)
        list(other.import_paths([path]))
        alone = other.segmentation(place)
        assert "not in the archive" in alone.remarks[-1]
        assert sum(segment.mask.count for segment in alone.segments) == np.count_nonzero(labels())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data matches")  # by chance
def test_overlaps_and_label_maps(archive, series, tmp_path):
    volume = archive.volume(series)
    masks = np.stack([labels() > 0, labels() == 2])
    overlapping = Segmentation.from_array(masks, volume, names=["organ", "tumor"])
    assert np.array_equal(archive.segmentation(overlapping.save()).to_masks(), masks)
    with pytest.raises(GeometryError, match="overlap"):
        Segmentation.from_array(masks, volume).save(kind="LABELMAP")
    with pytest.raises(GeometryError, match="NRRD can"):
        overlapping.to_file(tmp_path / "no.nii.gz")
    overlapping.to_file(tmp_path / "yes.seg.nrrd")
    back = Segmentation.from_file(tmp_path / "yes.seg.nrrd", volume)
    assert np.array_equal(back.to_masks(), masks)
    place = drawn(archive, series).save(kind="LABELMAP")
    assert archive.instances(place)[0].sop_class_uid.endswith(".66.7")
    assert np.array_equal(archive.segmentation(place).to_array(), labels())


@pytest.mark.slow
def test_structure_sets_are_segmentations_too(archive, made, series, tmp_path):
    structures = structures_to_dicom(drawn(archive, series), headers(made))
    place = tmp_path / "structures.dcm"
    place.write_bytes(to_bytes(structures))
    list(archive.import_paths([place]))
    study = series.split("/")[0]
    found = archive.segmentation(f"{study}/{structures.SeriesInstanceUID}")
    assert np.array_equal(found.to_array(), labels())
    assert [segment.label for segment in found.segments] == ["liver", "tumor"]
    archive.remove(Resource.parse(series))
    with pytest.raises(GeometryError, match="pull them first"):
        archive.segmentation(f"{study}/{structures.SeriesInstanceUID}")


@pytest.mark.slow
def test_images_that_form_no_volume_are_not_called_absent(archive, made, tmp_path):
    (plan,) = split_series(headers(made))
    segmentation = PlainSegmentation.from_array(labels(), plan.geometry, names=["liver", "tumor"])
    structures = structures_to_dicom(segmentation, headers(made))
    drawn_segments = segmentation_to_dicom(segmentation, headers(made))
    for one in made:
        del one.dataset.ImagePositionPatient
    stored = [Made(one.dataset, encode(one.dataset)) for one in made]
    objects = [Made(one, to_bytes(one)) for one in (structures, drawn_segments)]
    archive.import_paths(write(tmp_path / "stored", [*stored, *objects]))
    with pytest.raises(GeometryError, match=r"cannot be put on its images.* no position") as refused:
        archive.segmentation(f"{made[0].study}/{structures.SeriesInstanceUID}")
    assert "not in the archive" not in str(refused.value)
    found = archive.segmentation(f"{made[0].study}/{drawn_segments.SeriesInstanceUID}")
    assert "form no volume" in found.remarks[-1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("kind", ["segmentation", "structures"])
def test_images_are_the_first_series_referred_to_that_forms_a_volume(archive, made, series, tmp_path, kind):
    segmentation = drawn(archive, series)
    if kind == "structures":
        dataset = structures_to_dicom(segmentation, headers(made))
        holder = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        keyword = "RTReferencedSeriesSequence"
    else:
        holder = dataset = segmentation_to_dicom(segmentation, headers(made))
        keyword = "ReferencedSeriesSequence"
    study, images = series.split("/")
    projection = composite(CTImageStorage, StudyInstanceUID=study)
    put_pixels(projection, values()[0])
    others = [document(StudyInstanceUID=study), encoded(projection)]
    list(archive.import_paths(write(tmp_path / "others", others)))
    first = []
    for uid in ("a/b", generate_uid(), *(one.series for one in others)):
        item = copy.deepcopy(holder[keyword][0])
        item["SeriesInstanceUID"] = DataElement("SeriesInstanceUID", "UI", uid, validation_mode=IGNORE)
        first.append(item)
    holder[keyword].value = [*first, *holder[keyword].value]
    path = tmp_path / "object.dcm"
    path.write_bytes(to_bytes(dataset))
    list(archive.import_paths([path]))
    found = archive.segmentation(f"{study}/{dataset.SeriesInstanceUID}")
    assert found.images == Resource(study, images)
    assert np.array_equal(found.to_array(), labels())


@pytest.mark.slow
def test_a_derived_volume_is_a_series_of_the_study(archive, series, tmp_path):
    volume = archive.volume(series)
    derived = replace(volume, array=volume.array // 2)
    place = derived.save("Halved")
    assert derived.save("Halved") == place
    assert place.study == volume.series.study
    assert len(archive.instances(place)) == SHAPE[0]
    check_with_dciodvfy(archive.instances(place)[0].path.read_bytes(), tmp_path)
    again = archive.volume(place)
    assert np.array_equal(again.array, volume.array // 2)
    assert again.geometry.matches(volume.geometry)
    header = pydicom.dcmread(archive.instances(place)[0].path)
    assert header.DerivationDescription == "Halved"
    assert header.ImageType[0] == "DERIVED"


@pytest.mark.slow
def test_volumes_without_a_place_go_to_no_file(archive, tmp_path):
    list(archive.import_paths(write(tmp_path / "report", [one := document()])))
    with pytest.raises(GeometryError):
        archive.volume(f"{one.study}/{one.series}")
    grid = PlainVolume(values(), split_series(headers(scan(values(), AFFINE)))[0].geometry, spatial=False)
    with pytest.raises(GeometryError, match="no position"):
        Volume.of(grid).to_file(tmp_path / "no.nii.gz")
    with pytest.raises(InvalidInput, match="named neither"):
        Volume.of(grid).to_file(tmp_path / "no.png")


@pytest.mark.slow
def test_an_oblique_series_survives_nifti_voxel_by_voxel(settings, tmp_path):
    files = sorted(shared_data("mr-head").iterdir())[:96]
    with Archive.open(settings) as archive:
        *_, report = archive.import_paths(files)
        (page,) = archive.search(Query("series", {"Modality": "MR"}))
        uids = (text(page.matches[0].attributes, f"{one}InstanceUID") for one in ("Study", "Series"))
        volume = archive.volume("/".join(uids))
        assert volume.array.shape[0] == report.stored == 96
        volume.to_file(tmp_path / "head.nii.gz")
        copy = Volume.from_file(tmp_path / "head.nii.gz")
        assert np.array_equal(copy.array, volume.array)
        assert copy.geometry.matches(volume.geometry)
        marked = (volume.array > 60).astype(np.uint8)
        marked[:30] *= 2
        Segmentation.from_array(marked, volume).to_file(tmp_path / "marked.nii.gz")
        made = archive.import_segmentation(tmp_path / "marked.nii.gz", volume.series, names={1: "head"})
        place = made.save()
        back = archive.segmentation(place)
        back.to_file(tmp_path / "back.nii.gz")
        again = Segmentation.from_file(tmp_path / "back.nii.gz", volume)
        assert np.array_equal(again.to_array(), marked)
        assert again.geometry.matches(volume.geometry)
        check_with_dciodvfy(stored(archive, place), tmp_path)
        highdicom.seg.Segmentation.from_dataset(pydicom.dcmread(archive.instances(place)[0].path))


@pytest.fixture
def hospital(orthanc: Orthanc, settings: Settings) -> Orthanc:
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.servers import Login, ServerProfile, load_profiles

    profile = ServerProfile("hospital", orthanc.url, Login("basic", user=orthanc.user))
    Secrets(settings).set(profile.name, profile.origin, orthanc.password)
    load_profiles(settings).with_profile(profile).save(settings)
    return orthanc


def test_from_the_server_and_back_to_it(archive, hospital, made, settings):
    hospital.add(*(one.data for one in made))
    series = f"{made[0].study}/{made[0].series}"
    pulled = archive.pull("hospital", series)
    assert (pulled.complete, pulled.received) == (True, len(made))
    segmentation = drawn(archive, series)
    pushed = segmentation.push("hospital")
    assert pushed.complete
    place = segmentation.save()
    assert archive.instances(place)[0].sent == ("hospital",)
    assert hospital.instance_count() == len(made) + 1
    with Archive.open(replace(settings, archive=settings.archive.with_name("other"))) as other:
        assert other.pull("", made[0].study).complete
        assert np.array_equal(other.segmentation(place).to_array(), labels())
    assert replace(archive.volume(series), array=values() // 3).push("hospital", "Thirds").complete
    assert hospital.instance_count() == 2 * len(made) + 1
    volume = archive.volume(series)
    one = volume.geometry.part((0, 0, 0), (1, *SHAPE[1:]))
    slice_of_it = replace(volume, array=values()[:1] // 3, geometry=one, sources=volume.sources[:1])
    assert slice_of_it.push("hospital", "One slice").complete


@pytest.mark.slow
def test_opening_the_archive_loads_no_images_library():
    code = "import sys, dicomdock; dicomdock.Archive; print(*{name.split('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydicom", "numpy", "highdicom", "nibabel"}.intersection(ran.stdout.split())


@pytest.mark.slow
def test_the_public_objects_are_the_ones_of_the_archive(archive, series):
    assert isinstance(archive.volume(series), dicomdock.Volume)
    assert isinstance(drawn(archive, series).onto(archive.volume(series).geometry), dicomdock.Segmentation)
    assert dicomdock.connect.__module__ == "dicomdock.dicomweb"
    assert "liver, tumor" in repr(drawn(archive, series))
    assert Path(archive.instances(Resource.parse(series))[0].path).exists()
