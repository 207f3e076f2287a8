"""Exporting: readable names that every system takes, in folders and in zip files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from dicomdock.archive import Archive
from dicomdock.archive.export import NAME_BYTES, clean_name
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotInArchive
from tests.archive.conftest import part
from tests.builders import ct_series


@pytest.fixture
def filled(archive: Archive):
    series = [
        *ct_series(
            2, PatientName="Müller^Ada", PatientID="7", StudyDescription="CT: Kopf/Hals", SeriesNumber=3
        ),
        *ct_series(
            1, PatientName="Müller^Ada", PatientID="7", StudyDescription="CT: Kopf/Hals", SeriesNumber=3
        ),
        *ct_series(1, PatientName="山田^太郎", PatientID="../..", StudyDescription="con"),
    ]
    with archive.writer() as writer:
        for one in series:
            writer.add(part(one.data))
    return archive, series


def test_folders_have_readable_names(filled, tmp_path: Path) -> None:
    archive, series = filled
    done = list(archive.export([Resource(one.study) for one in series], tmp_path / "out"))
    assert [(one.done, one.total) for one in done] == [(n, 4) for n in range(1, 5)]
    assert [str(one.path) for one in done] == [
        "Müller Ada 7/20240102 CT_ Kopf_Hals/3 CT Axial/0001.dcm",
        "Müller Ada 7/20240102 CT_ Kopf_Hals/3 CT Axial/0002.dcm",
        "Müller Ada 7/20240102 CT_ Kopf_Hals (2)/3 CT Axial/0001.dcm",
        "山田 太郎 .._/20240102 con/1 CT Axial/0001.dcm",
    ]
    for one, instance in zip(done, series, strict=True):
        assert (tmp_path / "out" / one.path).read_bytes() == instance.data
    with pytest.raises(InvalidInput, match="there already"):
        list(archive.export([series[0].resource], tmp_path / "out"))


def test_an_export_that_was_killed_goes_on_and_one_that_ended_is_not_repeated(filled, tmp_path: Path) -> None:
    archive, series = filled
    study, out = [Resource(series[0].study)], tmp_path / "out"
    killed = archive.export(study, out)
    first = next(killed)
    killed.close()
    second = out / first.path.with_name("0002.dcm")
    (tmp_path / "elsewhere").write_text("not to be written to")
    second.with_name("0002.dcm.part").symlink_to(tmp_path / "elsewhere")
    assert len(list(archive.export(study, out))) == 2
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["0001.dcm", "0002.dcm"]
    assert [one.read_bytes() for one in (out / first.path, second)] == [one.data for one in series[:2]]
    assert (tmp_path / "elsewhere").read_text() == "not to be written to"
    with pytest.raises(InvalidInput, match="there already"):
        list(archive.export(study, out))


def test_an_export_that_goes_on_overwrites_nothing(filled, tmp_path: Path) -> None:
    archive, series = filled
    study, out = [Resource(series[0].study)], tmp_path / "out"
    killed = archive.export(study, out)
    first = out / next(killed).path
    killed.close()
    first.write_bytes(b"of another program")
    with pytest.raises(InvalidInput, match="there already"):
        list(archive.export(study, out))
    assert first.read_bytes() == b"of another program"
    beside = archive.export([Resource(series[3].study)], out)  # another export has a mark of its own
    assert len(list(beside)) == 1


def test_an_export_beside_the_same_one_does_not_take_its_files_for_its_own(filled, tmp_path: Path) -> None:
    archive, series = filled
    study, out = [Resource(series[0].study)], tmp_path / "out"
    running = archive.export(study, out)
    next(running)
    with pytest.raises(InvalidInput, match="there already"):
        list(archive.export(study, out))
    assert len(list(running)) == 1


def test_a_zip_file_holds_the_same(filled, tmp_path: Path) -> None:
    archive, series = filled
    target = tmp_path / "out.zip"
    done = list(archive.export([Resource(series[0].study)], target, zip=True))
    with zipfile.ZipFile(target) as zipped:
        assert [zipped.read(str(one.path)) for one in done] == [one.data for one in series[:2]]
    stopped = archive.export([Resource(series[0].study)], tmp_path / "half.zip", zip=True)
    next(stopped)
    stopped.close()
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["out.zip"]
    os.utime(archive.instances(series[0].resource)[0].path, (0, 0))  # the clock was wrong when it came
    assert list(archive.export([series[0].resource], tmp_path / "early.zip", zip=True))
    with pytest.raises(NotInArchive):
        list(archive.export([Resource("1.2.3")], tmp_path / "no.zip", zip=True))


@pytest.mark.slow
@given(st.text(max_size=300))
def test_a_clean_name_is_one_name_on_every_system(text: str) -> None:
    name = clean_name(text)
    assert name
    assert len(name.encode()) <= NAME_BYTES + 1
    assert not set(name) & set('<>:"/\\|?*\0\n')
    assert name.strip(". ") == name
    assert name.split(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}
