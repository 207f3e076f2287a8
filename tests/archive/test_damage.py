"""Files that are gone, cut or changed: found, named, replaced, and in the way of nothing else."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from dicomdock.archive import Archive, adoption
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError
from tests.archive.adding import add
from tests.builders import Made, changed, ct_series


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_file_is_replaced_by_its_own_bytes(archive: Archive, gone: bool, replace: bool) -> None:
    one, beside = ct_series(2)
    add(archive, one, beside, origin="pacs")
    (kept,) = archive.instances(one.resource)
    if gone:
        kept.path.unlink()
    else:
        kept.path.write_bytes(one.data[:-1] + b"x")
    archive.retention.record_sent([one.resource], "backup")
    assert add(archive, one, beside, origin="pacs", replace=replace) == ["replaced", "identical"]
    assert archive.instances(one.resource)[0].sent == ("backup",)
    assert {finding.status for finding in archive.verify()} == {"intact"}
    assert archive.instances(one.resource)[0].path.read_bytes() == one.data


def test_verify_finds_changed_missing_and_unknown_files(archive: Archive) -> None:
    series = ct_series(4)
    add(archive, *series)
    files = {one.resource.instance: one.path for one in archive.instances(Resource(series[0].study))}
    files[series[0].instance].write_bytes(series[0].data[:-2] + b"xx")
    files[series[1].instance].unlink()
    (files[series[2].instance].parent / "notes.txt").write_text("mine")
    statuses = sorted(finding.status for finding in archive.verify())
    assert statuses == ["changed", "intact", "intact", "missing", "stray"]
    assert [f.status for f in archive.verify(series[3].resource)] == ["intact"]
    with archive._index.writing() as connection:
        connection.execute('DELETE FROM instance WHERE "SOPInstanceUID" = ?', series[3].instance)
    assert "adopted" in {finding.status for finding in archive.verify()}
    assert [b"".join(p.chunks()) for p in archive.retrieve(series[3].resource)] == [series[3].data]


@pytest.mark.slow
def test_what_changes_while_it_is_verified_is_not_called_damaged(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomdock.archive.verification.BATCH", 1)
    series = ct_series(4)
    add(archive, *series)
    findings = archive.verify()
    assert next(findings).status == "intact"
    archive.remove(series[2].resource)
    add(archive, changed(series[3], PatientComments="corrected"), replace=True)
    add(archive, *(later := ct_series(2)))
    assert [finding.status for finding in findings] == ["intact", "intact"]
    assert {finding.resource for finding in archive.verify(Resource(later[0].study))} == {
        one.resource for one in later
    }


def damaged_in(archive: Archive, *instances: Made) -> tuple[Resource, Resource, Resource]:
    """Damage three of five instances: one is lost, one is cut, one has another byte."""
    add(archive, *instances, origin="pacs")
    lost, cut, changed_one = (one.resource for one in instances[1:4])
    (kept,) = archive.instances(lost)
    kept.path.unlink()
    (kept,) = archive.instances(cut)
    kept.path.write_bytes(kept.path.read_bytes()[:-20])
    (kept,) = archive.instances(changed_one)
    kept.path.write_bytes(kept.path.read_bytes()[:-1] + b"\xff")
    return lost, cut, changed_one


def test_a_row_is_no_proof_of_its_file(archive: Archive) -> None:
    series = ct_series(5)
    lost, cut, changed_one = damaged_in(archive, *series)
    assert archive.present(Resource(series[0].study)) == {
        one.instance for one in series if one.resource not in (lost, cut)
    }
    assert add(archive, *series) == ["identical", "replaced", "replaced", "replaced", "identical"]
    assert archive.present(Resource(series[0].study)) == {one.instance for one in series}
    assert {finding.status for finding in archive.verify()} == {"intact"}
    assert b"".join(b"".join(part.chunks()) for part in archive.retrieve(changed_one)) == series[3].data


def test_what_is_damaged_is_named_and_the_rest_goes_on(archive: Archive, tmp_path: Path) -> None:
    series = ct_series(5)
    bad = damaged_in(archive, *series)
    whole = [series[0].resource, series[4].resource]
    study = Resource(series[0].study)
    retrieved, exported, packed = [], [], []
    with pytest.raises(ArchiveError, match="3 instances are damaged") as error:
        retrieved.extend(part.resource for part in archive.retrieve(study))
    assert all(str(one) in str(error.value) for one in bad)
    with pytest.raises(ArchiveError, match="3 instances are damaged"):
        exported.extend(one.resource for one in archive.export([study], tmp_path / "out"))
    with pytest.raises(ArchiveError, match="3 instances are damaged"):
        packed.extend(one.resource for one in archive.export([study], tmp_path / "out.zip", zip=True))
    assert retrieved == exported == packed == whole
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
    assert len(zipfile.ZipFile(tmp_path / "out.zip").namelist()) == 2


def test_other_bytes_replace_a_file_that_is_gone(archive: Archive) -> None:
    (one,) = ct_series(1)
    add(archive, one)
    (kept,) = archive.instances(one.resource)
    kept.path.unlink()
    corrected = changed(one, PatientName="Else^Someone")
    assert add(archive, corrected) == ["replaced"]
    assert [b"".join(part.chunks()) for part in archive.retrieve(one.resource)] == [corrected.data]


def test_a_file_that_cannot_be_removed_closes_nothing(
    archive: Archive, archive_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = ct_series(3)
    add(archive, *series)
    stuck = archive.instances(series[0].resource)[0].path
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert archive.remove(Resource(series[0].study)) == 3
    assert [path.exists() for path in (stuck,)] == [True]
    with Archive.open(archive_settings) as again:
        assert again.summary().instances == 0
        monkeypatch.undo()
    with Archive.open(archive_settings):
        assert not stuck.exists()


def test_a_file_that_is_removed_while_it_is_adopted_gets_no_row(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = ct_series(1)
    add(archive, one)
    path = archive.instances(one.resource)[0].path
    data = path.read_bytes()
    archive.remove(one.resource)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    known = adoption.known_rows

    def remove_first(*given: object) -> object:
        path.unlink(missing_ok=True)
        return known(*given)

    monkeypatch.setattr(adoption, "known_rows", remove_first)
    list(archive.verify())
    assert archive.summary().instances == 0


def test_metadata_of_odd_files_do_not_cost_the_others(archive: Archive) -> None:
    series = ct_series(3)
    data = series[1].data
    place = data.index(b"\x10\x00\x10\x00PN")
    odd = data[:place] + b"\x10\x00\x01\x00??\x08\x0012345678" + data[place:]
    add(archive, series[0], Made(series[1].dataset, odd), series[2])
    found = list(archive.metadata(Resource(series[0].study)))
    assert {text(one, "SOPInstanceUID") for one in found} == {one.instance for one in series}
    assert {text(one, "PatientName") for one in found} == {"Doe^Jane"}
    json.dumps(found, allow_nan=False)
