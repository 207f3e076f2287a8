"""What leaves by ``--deidentify``: no canary in bytes or names, the same patient by the same key."""

from __future__ import annotations

import hashlib
import zipfile

import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage, UltrasoundImageStorage
from tests.builders import changed, composite, ct_series, document, image_series, made, write
from tests.deidentify.canaries import found, infest
from tests.deidentify.conftest import odd_values  # noqa: F401

DOCUMENT = 0x00420011
PROFILE = "basic,retain-modified-dates"


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "key"
    file.write_text("ab" * 32 + "\n")
    return file


def copies(folder):
    return [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


@pytest.mark.slow
@pytest.mark.usefixtures("odd_values")
def test_no_canary_leaves_in_files_nor_in_their_names(run, tmp_path):
    dataset = ct_series(1)[0].dataset
    path = tmp_path / "one.dcm"
    path.write_bytes(infest(dataset, spare=[DOCUMENT]))
    assert run("import", path).code == 0
    study = dataset.StudyInstanceUID
    for words in ([tmp_path / "out"], [tmp_path / "out.zip", "--zip"]):
        ran = run("export", study, *words, "--deidentify", "basic", "--json")
        assert ran.code == 0, ran.err
        assert ran.json["instances"] == 1
        assert found(ran.out.encode()) == found(ran.err.encode()) == set()
    (copy,) = (path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert found(copy.read_bytes()) == set()
    assert found(str(copy.relative_to(tmp_path)).encode()) == set()
    assert found((tmp_path / "out.zip").read_bytes()) == set()
    with zipfile.ZipFile(tmp_path / "out.zip") as zipped:
        assert {one.date_time[0] for one in zipped.infolist()} == {1980}
        assert [zipped.read(name) for name in zipped.namelist()] == [copy.read_bytes()]


@pytest.mark.slow
def test_copies_of_one_key_belong_together_and_of_another_do_not(run, key, tmp_path):
    first, second = ct_series(1, PatientID="4711")[0], ct_series(1, PatientID="4711", StudyDate="20240305")[0]
    stranger = ct_series(1, PatientID="4712")[0]
    assert run("import", *write(tmp_path / "made", [first, second, stranger])).code == 0
    for number, one in enumerate([first, second, stranger]):
        words = ("export", one.study, tmp_path / f"out{number}", "--deidentify", PROFILE)
        assert run(*words, "--key-file", key).code == 0
    again = run("export", first.study, tmp_path / "again", "--deidentify", PROFILE, "--key-file", key)
    assert again.code == 0
    (one,), (two,), (three,), (same,) = (
        copies(tmp_path / name) for name in ("out0", "out1", "out2", "again")
    )
    assert same == one
    assert one.PatientID == two.PatientID != three.PatientID
    assert one.PatientID not in ("4711", "")
    # 63 days lie between the studies, before and after
    assert (_day(two.StudyDate) - _day(one.StudyDate)).days == 63
    assert one.StudyDate != first.dataset.StudyDate
    key.write_text("cd" * 32)
    ran = run("export", first.study, tmp_path / "other", "--deidentify", PROFILE, "--key-file", key)
    assert ran.code == 0
    (other,) = copies(tmp_path / "other")
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert other[keyword].value != one[keyword].value


def _day(text):
    from datetime import datetime

    return datetime.strptime(text, "%Y%m%d")


def test_the_key_of_the_user_is_made_once(run, tmp_path):
    one = ct_series(1)[0]
    assert run("import", *write(tmp_path / "made", [one])).code == 0
    for name in ("out", "again"):
        assert run("export", one.study, tmp_path / name, "--deidentify", "basic").code == 0
    assert copies(tmp_path / "out") == copies(tmp_path / "again")


def test_the_archive_stays_as_it_is(run, settings, tmp_path):
    one = ct_series(1)[0]
    assert run("import", *write(tmp_path / "made", [one])).code == 0

    def digests():
        return {path: hashlib.sha256(path.read_bytes()).digest() for path in settings.archive.rglob("*.dcm")}

    before = digests()
    assert before
    assert run("export", one.study, tmp_path / "out", "--deidentify", "basic").code == 0
    assert digests() == before
    assert run("verify").code == 0


def test_what_may_show_a_name_is_held_back_and_listed(run, tmp_path):
    ct = ct_series(1)[0]
    sound = image_series(1, sop_class=UltrasoundImageStorage, modality="US", StudyInstanceUID=ct.study)[0]
    paper = document(StudyInstanceUID=ct.study)
    assert paper.dataset.SOPClassUID == EncapsulatedPDFStorage
    marked = changed(ct_series(1, StudyInstanceUID=ct.study)[0], BurnedInAnnotation="YES")
    assert run("import", *write(tmp_path / "made", [ct, sound, paper, marked])).code == 0
    ran = run("export", ct.study, tmp_path / "out", "--deidentify", "basic", "--json")
    assert ran.code == 3
    assert ran.json["instances"] == 1
    held = {row["resource"]: row["reason"] for row in ran.json["deidentification"]["held_back"]}
    assert held.keys() == {str(one.resource) for one in (sound, paper, marked)}
    assert "held back" in ran.err
    words = (
        "export",
        ct.study,
        tmp_path / "blanked",
        "--deidentify",
        "basic",
        "--blank",
        "0,0,24,4",
        "--json",
    )
    ran = run(*words)
    assert ran.code == 3  # the document has no pixels to blank
    assert [row["resource"] for row in ran.json["deidentification"]["held_back"]] == [str(paper.resource)]
    assert ran.json["deidentification"]["blanked"] == 2
    for copy in copies(tmp_path / "blanked"):
        if "BurnedInAnnotation" in copy:
            assert copy.BurnedInAnnotation == "NO"
            assert (copy.pixel_array[:4] == copy.pixel_array.min()).all()
            assert (copy.pixel_array[4:] == ct.dataset.pixel_array[4:]).all()
    alone = run("export", str(sound.resource), tmp_path / "alone", "--deidentify", "basic")
    assert alone.code == 1
    assert not (tmp_path / "alone").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--deidentify", "strict"], "is not a profile"),
        (["--deidentify", "basic,retain-names"], "no such option"),
        (["--deidentify", "basic,retain-full-dates,retain-modified-dates"], "exclude one another"),
        (["--deidentify", "basic", "--blank", "1,2,3"], "not a rectangle"),
        (["--deidentify", "basic", "--key-file", "nowhere"], "cannot be read"),
        (["--deidentify", "basic", "--format", "nifti"], "as DICOM only"),
        (["--blank", "0,0,1,1"], "belong to --deidentify"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_leaves(run, tmp_path, words, message):
    one = made(composite("1.2.840.10008.5.1.4.1.1.2"))
    assert run("import", *write(tmp_path / "made", [one])).code == 0
    ran = run("export", one.study, tmp_path / "out", *words)
    assert ran.code == 2
    assert message in " ".join(ran.err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.servers
def test_copies_on_a_server_link_from_day_to_day(run, hospital, key, tmp_path):
    first, second = ct_series(2, PatientID="4711"), ct_series(1, PatientID="4711", StudyDate="20240305")
    assert run("import", *write(tmp_path / "made", [*first, *second])).code == 0
    for series in (first, second, first):  # what is there already is not sent again
        words = ("push", series[0].study, "--deidentify", PROFILE, "--key-file", key, "--verify", "--json")
        ran = run(*words)
        assert ran.code == 0, ran.err
        assert ran.json["complete"]
    assert ran.json["instances"]["duplicate"] == 2
    there = run("search", "--server", "hospital", "PatientID=*", "--json")
    assert there.code == 0, there.err
    patients = {row["PatientID"] for row in there.json["matches"]}
    assert len(there.json["matches"]) == 2
    assert len(patients) == 1
    assert patients.isdisjoint({"4711"})
    refused = run("push", first[0].study, "--deidentify", "nothing")
    assert refused.code == 2
