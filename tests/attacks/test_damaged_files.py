"""What lies where a file of the archive belongs is damaged, gone, or no file: it is named, and mended."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.cli import main
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances
from tests.builders import Made, ct_series, write
from tests.servers import s3
from tests.servers.s3 import S3

Damage = Callable[[Path], object]
Run = Callable[..., tuple[int, str]]


def grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0\0")


def change(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


def exchange(file: Path) -> None:
    """Put another instance of the series there."""
    file.write_bytes(next(one for one in file.parent.iterdir() if one != file).read_bytes())


def folder(file: Path) -> None:
    file.unlink()
    (file / "inside").mkdir(parents=True)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def endless(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def series_is_a_file(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.write_text("not a folder")


def study_leads_nowhere(file: Path) -> None:
    shutil.rmtree(file.parent.parent)
    file.parent.parent.symlink_to("/nonexistent/place")


DAMAGES: list[Damage] = [
    Path.unlink,
    grow,
    change,
    exchange,
    folder,
    pipe,
    endless,
]


@pytest.fixture
def made() -> list[Made]:
    return ct_series(3)


@pytest.fixture
def settings(tmp_path: Path, made: list[Made]) -> Settings:
    settings = Settings.load(tmp_path / "home")
    with Archive.open(settings) as archive:
        list(archive.import_paths(write(tmp_path / "in", made), origin="pacs"))
    return settings


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        capfd.readouterr()
        code = main(["--home", str(tmp_path / "home"), "--json", *map(str, words)])
        return code, capfd.readouterr().out

    return run


def file_of(settings: Settings, made: Made) -> Path:
    with Archive.open(settings) as archive:
        return archive.instances(made.resource)[0].path


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_rest_goes_on_and_an_import_mends(
    settings: Settings, made: list[Made], tmp_path: Path, run: Run, damage: Damage
) -> None:
    study = made[0].study
    damage(file_of(settings, made[1]))
    name = str(made[1].resource)

    code, out = run("export", study, tmp_path / "dicom")
    assert (code, json.loads(out)["instances"], json.loads(out)["damaged"]) == (3, 2, [name])
    assert len([*(tmp_path / "dicom").rglob("*.dcm")]) == 2
    code, out = run("export", study, tmp_path / "all.zip", "--zip")
    assert (code, json.loads(out)["damaged"]) == (3, [name])
    code, out = run("export", study, tmp_path / "nifti", "--format", "nifti")
    assert code == 1
    assert name in json.loads(out)["failures"][0]["reason"]
    assert not [*tmp_path.glob("nifti/**/*.nii.gz")]

    with Archive.open(settings) as archive:
        for read in (archive.retrieve, archive.metadata):
            whole = []
            with pytest.raises(DamagedInstances) as raised:
                whole.extend(read(Resource(study)))
            assert raised.value.instances == (name,)
            assert len(whole) == 2
        list(archive.search(Query("instances", {"StudyInstanceUID": study}, fields=("WindowCenter",))))

    code, _ = run("export", name, tmp_path / "none.zip", "--zip")
    assert code != 0
    assert not [*tmp_path.glob("none.zip*")]

    assert run("verify")[0] == 1
    code, out = run("import", tmp_path / "in")
    assert (code, json.loads(out)["instances"]["stored"]) == (0, 1)
    assert run("verify")[0] == 0
    with Archive.open(settings) as archive:
        assert [b"".join(one.chunks()) for one in archive.retrieve(made[1].resource)] == [made[1].data]
        assert archive.instances(made[1].resource)[0].origin == "pacs"


@pytest.mark.slow
@pytest.mark.parametrize("damage", [series_is_a_file, study_leads_nowhere])
def test_what_lies_in_the_way_of_a_folder_is_set_aside(
    settings: Settings, made: list[Made], tmp_path: Path, run: Run, damage: Damage
) -> None:
    damage(file_of(settings, made[1]))
    code, out = run("export", made[0].study, tmp_path / "dicom")
    assert (code, len(json.loads(out)["damaged"])) == (1, 3)
    code, out = run("import", tmp_path / "in")
    assert (code, json.loads(out)["instances"]["stored"]) == (0, 3)
    code, out = run("verify")
    assert (code, json.loads(out)["intact"]) == (0, 3)
    assert len([*(tmp_path / "home/archive/files").rglob("*.aside")]) == 1


def test_nothing_that_is_not_a_readable_file_counts_as_present(
    settings: Settings, made: list[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(settings, made[0])
    with Archive.open(settings) as archive:
        monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != file)
        assert archive.present(Resource(made[0].study)) == {one.instance for one in made[1:]}


def test_the_error_survives_the_way_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(DamagedInstances([Resource("1.2", "1.3", "1.4")])))
    assert error.instances == ("1.2/1.3/1.4",)
    assert "1 instance is damaged or missing in the archive: 1.2/1.3/1.4." in str(error)


@pytest.fixture
def in_bucket(bucket: S3, tmp_path: Path) -> Iterator[Settings]:
    yield Settings(
        tmp_path / "config",
        tmp_path / "archive",
        tmp_path / "state",
        object_store=f"s3://{s3.BUCKET}/damaged-copies",
        free_space_floor=0,
    )


@pytest.mark.slow
def test_a_damaged_copy_of_an_object_is_downloaded_again(
    in_bucket: Settings, made: list[Made], tmp_path: Path
) -> None:
    study = Resource(made[0].study)
    for damage in DAMAGES:
        with Archive.open(in_bucket) as archive:
            list(archive.import_paths(write(tmp_path / "in", made)))
            damage(archive.instances(made[1].resource)[0].path)
            assert [b"".join(one.chunks()) for one in archive.retrieve(study)] == [one.data for one in made]
            damage(archive.instances(made[1].resource)[0].path)
            out = tmp_path / f"out-{damage}"
            assert len([*archive.export([study], out)]) == 3
            assert sorted(one.read_bytes() for one in out.rglob("*.dcm")) == sorted(one.data for one in made)
