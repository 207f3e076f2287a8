"""Importing: everything on disk is stored byte by byte or named with the reason; nothing is lost."""

from __future__ import annotations

import bz2
import gc
import gzip
import io
import lzma
import os
import socket
import tarfile
import threading
import zipfile
from pathlib import Path

import pydicom.data
import pytest
from pydicom.fileset import FileSet

from dicomdock.archive import Archive
from dicomdock.archive.walk import DANGLING, ELSEWHERE, Failure
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text, texts
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.transfer.files import select_files
from tests.builders import changed, ct_series, write
from tests.conftest import shared_data


def report(archive: Archive, *paths: Path):
    *_, last = archive.import_paths(paths)
    assert last.done
    return last


@pytest.mark.slow
def test_every_file_of_pydicom_is_stored_or_named(archive: Archive) -> None:
    folder = Path(pydicom.data.__file__).parent
    told = report(archive, folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert told.files == len(files)
    handled = (
        told.stored + told.identical + told.conflicts + told.skipped + told.directories + len(told.failed)
    )
    assert handled == told.files
    assert all("DICOM" in failure.reason for failure in told.failed)
    kept = {one.path.read_bytes() for study in told.studies for one in archive.instances(Resource(study))}
    unknown = {failure.path for failure in told.failed} | set(told.conflicting)
    lost = [p for p in files if p.suffix == ".dcm" and p not in unknown and p.read_bytes() not in kept]
    lost = [path for path in lost if not path.name.startswith("DICOMDIR")]
    assert lost == []
    assert {finding.status for finding in archive.verify()} == {"intact"}
    # Once more: nothing is stored twice.
    again = report(archive, folder)
    assert (again.stored, again.identical) == (0, told.stored + told.identical)


@pytest.mark.slow
def test_real_data_come_in(archive: Archive) -> None:
    zoo = shared_data("zoo")
    told = report(archive, zoo)
    assert told.stored > 20
    assert {finding.status for finding in archive.verify()} == {"intact"}


def test_folders_files_and_what_is_no_dicom(archive: Archive, tmp_path: Path) -> None:
    series = ct_series(3)
    write(tmp_path / "in" / "deep" / "er", series[:2])
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    (tmp_path / "in" / "empty.dcm").write_bytes(b"")
    (tmp_path / "in" / "cut.dcm").write_bytes(series[2].data[:-10])
    other = changed(series[0], PatientName="Else")
    (single,) = write(tmp_path / "other", [other])
    os.symlink(tmp_path / "in", tmp_path / "in" / "loop")
    told = report(archive, tmp_path / "in", single)
    assert (told.stored, told.skipped, told.conflicts) == (2, 1, 1)
    assert told.conflicting == (single,)
    assert [failure.path.name for failure in told.failed] == ["cut.dcm", "empty.dcm"]
    assert "cut off" in told.failed[0].reason


def test_links_that_lead_nowhere_or_elsewhere_are_named(archive: Archive, tmp_path: Path) -> None:
    """As in data sets of DataLad whose files were not fetched, and folders of links to other disks."""
    first, second, third = ct_series(3)
    folder = tmp_path / "in"
    (file,) = write(folder / "files", [first])
    (beside,) = write(tmp_path / "beside", [second])
    write(tmp_path / "elsewhere", [third])
    (folder / "again").symlink_to("files")
    (folder / "alone.dcm").symlink_to(beside)
    (folder / "fetched.dcm").symlink_to(tmp_path / "not" / "there.dcm")
    (folder / "patient").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to("round")
    told = report(archive, folder)
    assert (told.stored, told.identical, told.skipped) == (2, 0, 0)
    reasons = {failure.path.name: failure.reason for failure in told.failed}
    assert reasons == {"fetched.dcm": DANGLING, "patient": ELSEWHERE, "round": DANGLING}
    selected = select_files([folder])
    assert {part.path for part in selected.parts} == {file, folder / "alone.dcm"}
    assert {Path(one.path).name for one in selected.unsent} == reasons.keys()
    assert report(archive, folder / "patient").stored == 1


def test_the_first_of_two_under_one_uid_is_kept_however_long_it_takes_to_read(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = ct_series(2)
    write(tmp_path / "a", [first])
    (second,) = write(tmp_path / "b", [changed(first, PatientName="Else")])
    write(tmp_path / "c", [last])
    third_begun = threading.Event()
    opened = Path.open

    def slow_at_first(path: Path, *given: object, **named: object) -> object:
        if tmp_path / "a" in path.parents:
            assert third_begun.wait(60), "the files are not read side by side"
        if tmp_path / "c" in path.parents:
            third_begun.set()  # whoever read the second is done with it
        return opened(path, *given, **named)

    monkeypatch.setattr(Path, "open", slow_at_first)
    told = report(archive, tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert (told.stored, told.conflicting) == (2, (second,))
    assert [b"".join(one.chunks()) for one in archive.retrieve(first.resource)] == [first.data]


def test_a_socket_in_a_folder_does_not_stop_it(archive: Archive, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "in"
    write(folder, ct_series(1))
    monkeypatch.chdir(folder)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        os.mkfifo("pipe")
        assert report(archive, folder).skipped == 2


def test_a_path_that_is_not_there(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file or folder"):
        list(archive.import_paths([tmp_path / "nowhere"]))


@pytest.mark.slow
def test_stopping_keeps_what_was_stored(archive: Archive, tmp_path: Path) -> None:
    series = ct_series(80)
    write(tmp_path / "in", series)
    progress = archive.import_paths([tmp_path / "in"])
    seen = [next(progress) for _ in range(10)]
    progress.close()
    kept = archive.present(Resource(series[0].study))
    assert len(kept) >= seen[-1].stored == 10
    assert {finding.status for finding in archive.verify()} == {"intact"}


def found(archive: Archive, level: str, **match: str) -> list[dict]:
    return [one.attributes for page in archive.search(Query(level, match)) for one in page.matches]


def test_a_study_is_described_by_all_its_instances(archive: Archive, tmp_path: Path) -> None:
    first, second = ct_series(2)
    described = {"StudyDate": "20240102", "AccessionNumber": "A1", "StudyDescription": "Thorax"}
    bare = changed(first, SeriesInstanceUID="1.2.9", Modality="RTSTRUCT", **dict.fromkeys(described, ""))
    write(tmp_path / "a", [bare])
    report(archive, tmp_path / "a")
    write(tmp_path / "b", [changed(second, **described)])
    report(archive, tmp_path / "b")
    (study,) = found(archive, "studies", StudyDate="20240102", AccessionNumber="A1")
    assert text(study, "StudyDescription") == "Thorax"
    write(tmp_path / "c", [changed(first, StudyDescription="Abdomen", StudyDate="20250101")])
    report(archive, tmp_path / "c")
    assert [text(one, "StudyDescription") for one in found(archive, "studies")] == ["Thorax"]


def test_a_second_patient_of_a_study_is_reported_and_found(archive: Archive, tmp_path: Path) -> None:
    first, second = ct_series(2)
    own = {"PatientName": "Doe^Jane", "PatientID": "A", "PatientBirthDate": "", "PatientSex": ""}
    other = {"PatientName": "Other^X", "PatientID": "B", "PatientBirthDate": "19500101", "PatientSex": "M"}
    write(tmp_path / "a", [changed(first, **own)])
    assert not report(archive, tmp_path / "a").remarks
    write(tmp_path / "b", [changed(second, SeriesInstanceUID="1.2.9", **other)])
    (remark,) = report(archive, tmp_path / "b").remarks
    assert "'B'" in remark.reason
    assert "'A'" in remark.reason
    for match in ({"PatientID": "B"}, {"PatientName": "other*"}, {"PatientID": "B", "PatientSex": "M"}):
        (study,) = found(archive, "studies", **match)
        assert (text(study, "PatientID"), text(study, "PatientName")) == ("B", "Other^X")
        (series,) = found(archive, "series", StudyInstanceUID=first.study, **match)
        assert text(series, "SeriesInstanceUID") == "1.2.9"
    (study,) = found(archive, "studies", PatientID="A")
    assert text(study, "PatientName") == "Doe^Jane"
    assert text(study, "PatientBirthDate") == ""  # the other patient's is not taken
    assert found(archive, "studies", PatientID="A", PatientSex="M") == []
    archive.remove(Resource(first.study, first.series))
    (study,) = found(archive, "studies")
    assert text(study, "PatientID") == "B"
    assert found(archive, "studies", PatientID="A") == []


def test_a_second_accession_number_of_a_study_is_reported_once_and_found(
    archive: Archive, tmp_path: Path
) -> None:
    """One acquisition may answer two orders."""
    instances = ct_series(5)
    numbers = ("", "A1", "A2", "A2", "A1")
    made = [changed(one, AccessionNumber=to) for one, to in zip(instances, numbers, strict=True)]
    write(tmp_path / "a", made[:2])
    assert not report(archive, tmp_path / "a").remarks
    write(tmp_path / "b", made[2:])
    (remark,) = report(archive, tmp_path / "b").remarks
    assert "'A2'" in remark.reason
    assert "'A1'" in remark.reason
    for number, shown in (("A1", "A1"), ("A2", "A2"), ("A?", "A1"), ("A9\\A2", "A2"), ("A2\\A1", "A1")):
        (study,) = found(archive, "studies", AccessionNumber=number)
        assert text(study, "AccessionNumber") == shown
    assert found(archive, "studies", AccessionNumber="A3") == []


def test_of_several_accession_numbers_and_patients_each_combination_is_found(
    archive: Archive, tmp_path: Path
) -> None:
    first, second, third, fourth = ct_series(4)
    own = {"AccessionNumber": "A1", "PatientID": "P"}
    write(
        tmp_path / "in",
        [
            changed(first, **own),
            changed(second, SeriesInstanceUID="1.2.9", **own | {"AccessionNumber": "A2"}),
            changed(third, SeriesInstanceUID="1.2.9", **own | {"AccessionNumber": "A3"}),
            changed(fourth, SeriesInstanceUID="1.2.8", PatientID="Q", AccessionNumber="A4"),
        ],
    )
    report(archive, tmp_path / "in")
    for number in ("A1", "A2", "A3", "A4"):
        (study,) = found(archive, "studies", AccessionNumber=number)
        assert text(study, "AccessionNumber") == number
    for number, uid in (("A2", "1.2.9"), ("A3", "1.2.9"), ("A4", "1.2.8")):
        (series,) = found(archive, "series", AccessionNumber=number)
        assert text(series, "SeriesInstanceUID") == uid
    assert len(found(archive, "studies", AccessionNumber="A4", PatientID="Q")) == 1
    assert found(archive, "studies", AccessionNumber="A4", PatientID="nobody") == []
    archive.remove(Resource(first.study, first.series))
    archive.remove(Resource(first.study, "1.2.9"))
    (study,) = found(archive, "studies")
    assert (text(study, "AccessionNumber"), text(study, "PatientID")) == ("A4", "Q")
    assert found(archive, "studies", AccessionNumber="A1") == found(archive, "studies", PatientID="P") == []


@pytest.mark.slow
def test_a_corrected_patient_is_found_and_the_wrong_one_is_not(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomdock.archive.writer.GROUP_FILES", 2)
    made = ct_series(9)

    def imported(*stated: str) -> str:
        """Store three series, each of a patient and order; return by whom the study is found."""
        folder = tmp_path / "".join(stated)
        items = [
            changed(one, SeriesInstanceUID=f"1.2.{at // 3}", PatientID=who, AccessionNumber=f"of {who}")
            for at, one in enumerate(made)
            if (who := stated[at // 3]) != "-"
        ]
        write(folder, items)
        list(archive.import_paths([folder], replace=True))
        by_order = "".join(who for who in "ABC" if found(archive, "studies", AccessionNumber=f"of {who}"))
        assert by_order == "".join(who for who in "ABC" if found(archive, "studies", PatientID=who))
        return by_order

    assert imported("A", "A", "B") == "AB"
    assert imported("-", "-", "A") == "A"
    assert imported("C", "-", "-") == "AC"
    assert imported("-", "C", "B") == "BC"
    assert imported("A", "A", "A") == "A"


def test_a_name_of_empty_groups_is_empty(archive: Archive, tmp_path: Path) -> None:
    names = ("==", "Doe^Jane==", "=山田^太郎=")
    write(tmp_path / "a", [ct_series(1, PatientName=name, PatientID=name)[0] for name in names])
    report(archive, tmp_path / "a")
    values = {text(study, "PatientID"): study["00100010"].get("Value") for study in found(archive, "studies")}
    assert values == {
        "==": None,
        "Doe^Jane==": [{"Alphabetic": "Doe^Jane"}],
        "=山田^太郎=": [{"Ideographic": "山田^太郎"}],
    }


def test_bytes_behind_the_data_set_are_stored_and_reported(archive: Archive, tmp_path: Path) -> None:
    (one,) = ct_series(1)
    (path,) = write(tmp_path / "in", [one])
    path.write_bytes(one.data + b"\r\n")
    done = report(archive, path)
    assert done.stored == 1
    assert done.remarks == (Failure(path, "2 bytes follow its data set."),)
    (kept,) = archive.instances(one.resource)
    assert kept.path.read_bytes() == one.data + b"\r\n"


def test_counts_and_modalities_are_right_after_removals(archive: Archive, tmp_path: Path) -> None:
    first, second, third = ct_series(3)
    report_of = {
        "SeriesInstanceUID": "1.2.9",
        "Modality": "SR",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11",
    }
    write(tmp_path, [first, second, changed(third, **report_of)])
    report(archive, tmp_path)
    archive.remove(Resource(first.study, "1.2.9"))
    archive.remove(first.resource)
    (study,) = found(archive, "studies")
    assert texts(study, "ModalitiesInStudy") == ["CT"]
    assert texts(study, "SOPClassesInStudy") == [str(first.dataset.SOPClassUID)]
    assert text(study, "NumberOfStudyRelatedInstances") == text(study, "NumberOfStudyRelatedSeries") == "1"


def zipped(path: Path, files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_zip_export_comes_back(archive: Archive, tmp_path: Path, settings: Settings) -> None:
    series = ct_series(5)
    write(tmp_path / "in", series)
    report(archive, tmp_path / "in")
    list(archive.export([Resource(series[0].study)], tmp_path / "out.zip", zip=True))
    bytes_before = {one.resource: one.digest for one in archive.instances(Resource(series[0].study))}
    archive.remove(Resource(series[0].study))
    done = report(archive, tmp_path / "out.zip")
    assert (done.stored, done.skipped, done.failed) == (5, 0, ())
    assert {one.resource: one.digest for one in archive.instances(Resource(series[0].study))} == bytes_before


def test_packed_files_are_unpacked_wherever_they_lie(archive: Archive, tmp_path: Path) -> None:
    first, second, third, fourth = ct_series(4)
    folder = tmp_path / "in"
    write(folder, [first])
    zipped(folder / "study.zip", {"a/1.dcm": second.data, "readme.txt": b"text", "cut.dcm": third.data[:-9]})
    (folder / "image.dcm.gz").write_bytes(gzip.compress(third.data))
    (folder / "notes.gz").write_bytes(gzip.compress(b"just text"))
    zipped(folder / "renamed.bin", {"x": fourth.data}, method=zipfile.ZIP_STORED)
    done = report(archive, folder)
    assert (done.stored, done.skipped) == (4, 2)
    (failure,) = done.failed
    assert failure.path == folder / "study.zip" / "cut.dcm"
    assert "cut off" in failure.reason


@pytest.mark.slow
def test_what_holds_files_and_is_not_read_is_named(archive: Archive, tmp_path: Path) -> None:
    (made,) = ct_series(1)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as packed:
        packed.add(write(tmp_path / "in", [made])[0])
    kinds = {
        "tar file": tar.getvalue(),
        "bzip2 file": bz2.compress(made.data),
        "xz file": lzma.compress(made.data),
        "7z file": bytes.fromhex("377abcaf271c0004"),  # as their formats' descriptions have it
        "RAR file": b"Rar!\x1a\x07\x01\x00",
        "Zstandard file": bytes.fromhex("28b52ffd00000000"),
        "image of a disk": bytes(0x8001) + b"CD001" + bytes(2042),
    }
    folder = tmp_path / "packed"
    folder.mkdir()
    for number, data in enumerate(kinds.values()):
        (folder / str(number)).write_bytes(data)
    done = report(archive, folder)
    assert (done.stored, done.skipped) == (0, 0)
    reasons = [one.reason for one in sorted(done.failed, key=lambda one: one.path.name)]
    assert [kind in reason for kind, reason in zip(kinds, reasons, strict=True)] == [True] * len(kinds)
    assert "unpack it and import its folder" in reasons[0]

    looks_packed = [head + made.data[len(head) :] for head in (b"PK\3\4", b"\x1f\x8b", b"BZh9")]
    for number, data in enumerate(looks_packed):  # PS3.10 §7.1: the preamble is the application's
        path = tmp_path / f"preamble{number}"
        path.write_bytes(data)
        result = report(archive, path)
        assert (result.stored, result.skipped, result.failed) == (1, 0, ())
        archive.remove(made.resource)


def test_a_cut_zip_file_is_never_read_by_the_directory_of_a_zip_file_in_it(
    archive: Archive, tmp_path: Path
) -> None:
    first, second, third = ct_series(3)
    inner = zipped(tmp_path / "inner.zip", {"2.dcm": second.data}).read_bytes()
    files = {"1.dcm": first.data, "inner.zip": inner, "3.dcm": third.data}
    whole = zipped(tmp_path / "whole.zip", files, method=zipfile.ZIP_STORED).read_bytes()
    (tmp_path / "cut").mkdir()
    for missing in (1, 30, 90, len(third.data) // 2):
        (tmp_path / "cut" / f"{missing}.zip").write_bytes(whole[:-missing])
    done = report(archive, tmp_path / "cut")
    assert (done.stored, len(done.failed)) == (0, 4)
    assert all("cannot be read" in one.reason for one in done.failed)
    assert report(archive, tmp_path / "whole.zip").stored == 2


@pytest.mark.slow
def test_what_is_named_or_begins_like_a_packed_file_and_is_not_read_is_named(
    archive: Archive, tmp_path: Path
) -> None:
    (one,) = ct_series(1)
    whole = zipped(tmp_path / "whole.zip", {"a.dcm": one.data}).read_bytes()
    zipped(tmp_path / "empty.zip", {})
    (tmp_path / "program.zip").write_bytes(b"#!/bin/sh\n" + whole)  # a self-extracting one
    (tmp_path / "part").write_bytes(b"PK\7\x08" + whole)
    told = report(archive, tmp_path)
    assert told.stored == 1
    assert sorted((failure.path.name, failure.reason) for failure in told.failed) == [
        ("empty.zip", "The zip file holds no files."),
        ("part", "It is a zip file in several parts; unpack it and import its folder."),
        ("program.zip", "It is named like a packed file, but does not begin as one."),
    ]


@pytest.mark.slow
def test_hostile_zip_files_are_refused_and_the_rest_goes_on(archive: Archive, tmp_path: Path) -> None:
    first, second = ct_series(2)
    folder = tmp_path / "in"
    write(folder, [first])
    big = changed(second, SOPInstanceUID="1.2.3.4").data
    bomb = big[: -16 * 24 * 2 - 4] + (400 << 20).to_bytes(4, "little")
    packing = zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED)
    with packing, packing.open("bomb.dcm", "w", force_zip64=True) as member:
        member.write(bomb)
        for _ in range(400):
            member.write(bytes(1 << 20))
    zipped(folder / "slip.zip", {"../../../../slipped.dcm": second.data, "/etc/slipped\x1b[2J.txt": b"x"})
    zipped(folder / "nested.zip", {"inner.zip": (folder / "slip.zip").read_bytes()})
    damaged = bytearray(zipped(folder / "damaged.zip", {"1.dcm": second.data}).read_bytes())
    damaged[60:90] = bytes(30)
    (folder / "damaged.zip").write_bytes(damaged)
    (folder / "short.zip").write_bytes(b"PK\3\4" + bytes(40))
    (folder / "cut.gz").write_bytes(gzip.compress(second.data)[:-30])
    before = [*folder.rglob("*")]
    done = report(archive, folder)
    assert done.stored == 2
    reasons = {one.path.name: one.reason for one in done.failed}
    assert set(reasons) == {"bomb.dcm", "inner.zip", "1.dcm", "short.zip", "cut.gz"}
    assert "more than" in reasons["bomb.dcm"]
    assert [*folder.rglob("*")] == before
    assert not [*tmp_path.parent.rglob("slipped*")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up")  # pydicom's FileSet cannot be closed
def test_what_a_dicomdir_in_a_zip_file_names_and_is_not_there_is_reported(
    archive: Archive, tmp_path: Path
) -> None:
    folder = tmp_path / "cd"
    written = FileSet()
    for path in write(tmp_path / "in", ct_series(3)):
        written.add(path)
    written.write(folder)
    del written
    gc.collect()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lost = next(path for path in files if path.name != "DICOMDIR")
    packed = tmp_path / "cd.zip"
    with zipfile.ZipFile(packed, "w") as zipped:
        for file in files:
            if file != lost:  # as some burn: names in lower case
                zipped.write(file, f"disc/{file.relative_to(folder)}".lower())
    done = report(archive, packed)
    assert done.stored == 2
    (failure,) = done.failed
    assert failure.path == packed / "disc" / lost.relative_to(folder)
    assert "it is not there" in failure.reason


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up")  # pydicom's FileSet cannot be closed
def test_a_dicomdir_stands_for_the_files_that_it_names(archive: Archive, tmp_path: Path) -> None:
    series = ct_series(3)
    paths = write(tmp_path / "in", series)
    files = FileSet()
    for path in paths:
        files.add(path)
    files.write(tmp_path / "medium")
    del files
    gc.collect()
    done = report(archive, tmp_path / "medium" / "DICOMDIR")
    assert (done.stored, done.directories, done.failed) == (3, 1, ())
    names = {"DICOMDIR"}
    lost = next(one for one in (tmp_path / "medium").rglob("*") if one.is_file() and one.name not in names)
    lost.unlink()
    again = report(archive, tmp_path / "medium" / "DICOMDIR")
    assert (again.identical, [one.path for one in again.failed]) == (2, [lost])
    whole = report(archive, tmp_path / "medium")
    assert (whole.identical, whole.directories, whole.failed) == (2, 1, again.failed)
    dicomdir = tmp_path / "medium" / "DICOMDIR"
    dicomdir.write_bytes(dicomdir.read_bytes()[:-1])
    cut = report(archive, dicomdir)
    assert cut.identical < 3
    assert dicomdir in [one.path for one in cut.failed]
    assert report(archive, tmp_path / "medium").failed[-1].path == dicomdir
