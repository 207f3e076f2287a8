"""Cohorts from the command line: made, pulled, continued."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
from tests.builders import Made, ct_series, mr_series
from tests.cli.conftest import Run
from tests.origin.running import Running, serving
from tests.servers.canned import Answer, answering

from dicomdock.api.archive import Archive as ApiArchive
from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[Running]:
    """Yield an origin server over an archive that is not the user's."""
    other = replace(settings, archive=tmp_path / "server", state=tmp_path / "server-state")
    with Archive.open(other) as archive, serving(archive) as running:
        yield running


@pytest.fixture
def hospital(run: Run, server: Running) -> list[Made]:
    """Return what the server ``hospital`` has: two CT series of one study, an MR series of another."""
    study = {"StudyInstanceUID": "2.25.1", "PatientID": "P1"}
    made = [
        *ct_series(3, SeriesInstanceUID="2.25.11", **study),
        *ct_series(2, SeriesInstanceUID="2.25.12", **study),
        *mr_series(2, SeriesInstanceUID="2.25.21", StudyInstanceUID="2.25.2", PatientID="P2"),
    ]
    server.add(*(one.data for one in made))
    assert run("server", "add", "hospital", server.url).code == 0
    return made


def rows(path: str) -> list[dict[str, object]]:
    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.mark.slow
def test_a_cohort_is_what_a_search_finds_and_its_series_come_here(run, hospital, settings, tmp_path):
    made = run("cohort", "make", "chest", "--server", "hospital", "PatientID=P1", "--json")
    assert made.code == 0, made.err
    assert (made.json["studies"], made.json["series"], made.json["version"]) == (1, 2, 1)
    table = rows(made.json["file"])
    assert {(row["SeriesInstanceUID"], row["NumberOfSeriesRelatedInstances"]) for row in table} == {
        ("2.25.11", 3),
        ("2.25.12", 2),
    }
    assert {(row["Server"], row["PatientID"], row["Modality"]) for row in table} == {("hospital", "P1", "CT")}

    pulled = run("cohort", "pull", "chest", "--workers", "2", "--json")
    assert pulled.code == 0, pulled.err
    assert pulled.json["series"] == {
        "total": 2,
        "done": 2,
        "unproven": 0,
        "failed": 0,
        "passed_over": 0,
        "left": 0,
    }
    with Archive.open(settings) as archive:
        assert archive.present(Resource("2.25.1")) == {one.instance for one in hospital[:5]}
        archive.remove(Resource("2.25.1", "2.25.12"))  # as eviction does

    again = run("cohort", "pull", "chest", "--json")
    assert (again.code, again.json["now"], again.json["complete"]) == (0, 1, True)
    folder = tmp_path / "files"
    exported = run("cohort", "export", "chest", folder, "--format", "nifti", "--json")
    assert exported.code == 0, exported.err
    assert len([*folder.rglob("*.nii.gz")]) == exported.json["series"]["done"] == 2
    assert run("cohort", "export", "chest", folder, "--straighten").code == 2
    status = run("cohort", "status", "chest")
    assert "pull: 2 of 2 series done" in status.out

    series = run("cohort", "make", "chest", "--server", "hospital", "Modality=MR", "--json").json
    assert (series["version"], series["series"]) == (2, 1)
    assert run("cohort", "status", "chest", "--json").json["series"] == 1
    assert run("cohort", "list").out.split() == ["chest"]


@pytest.mark.slow
def test_a_list_of_uids_with_faults_loses_only_the_faulty_rows(run, hospital, tmp_path):
    listed = tmp_path / "listed.csv"
    listed.write_text(
        "SeriesInstanceUID,StudyInstanceUID\n2.25.11,2.25.1\n2.25.11,2.25.1\n,2.25.2\n,2.25.404\n,\n2.25.99,2.25.1\n"
    )
    made = run("cohort", "make", "listed", "--from", listed, "--server", "hospital", "--json")
    assert made.code == 3, made.err
    assert (made.json["series"], made.json["duplicates"]) == (3, 1)
    assert len(made.json["problems"]) == 2
    assert "hospital has no study 2.25.404" in made.err
    assert "Row 6 of listed.csv" in made.err

    pulled = run("cohort", "pull", "listed", "--json")
    assert pulled.code == 3
    assert pulled.json["series"] == {
        "total": 3,
        "done": 2,
        "unproven": 0,
        "failed": 1,
        "passed_over": 0,
        "left": 0,
    }
    (failure,) = pulled.json["failures"]
    assert failure["resource"] == "2.25.1/2.25.99"
    assert "hospital" in failure["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read"), ("a,b\n1,2\n", "no column StudyInstanceUID"), ("", "has no rows")],
)
def test_a_file_that_is_not_a_list_makes_no_cohort(run, hospital, tmp_path, content, sentence):
    file = tmp_path / "list.csv"
    if content is not None:
        file.write_text(content)
    made = run("cohort", "make", "none", "--from", file)
    assert made.code == 2
    assert sentence in made.err
    assert run("cohort", "list").out == ""
    assert run("cohort", "pull", "none").code == 1
    assert run("cohort", "make", "../up", "PatientID=P1").code == 2


@pytest.mark.slow
def test_a_server_that_refuses_the_login_is_asked_once_and_the_others_go_on(run, hospital, tmp_path):
    with answering(lambda _request: Answer(401)) as closed:
        run("server", "add", "closed", f"{closed.url}/dicom-web")
        listed = tmp_path / "two.csv"
        listed.write_text(
            "Server,StudyInstanceUID,SeriesInstanceUID\n"
            + "".join(f"closed,2.25.7,2.25.7{number}\n" for number in range(5))
            + "hospital,2.25.2,2.25.21\n"
        )
        assert run("cohort", "make", "two", "--from", listed).code == 0
        closed.asked.clear()
        pulled = run("cohort", "pull", "two", "--workers", "1", "--json")
        assert pulled.code == 3
        assert pulled.json["series"]["done"] == 1
        assert pulled.json["series"]["failed"] == 5
        assert all("refused by server 'closed' (401)" in one["reason"] for one in pulled.json["failures"])
        assert {request.path.split("/")[5] for request in closed.asked if "/series/" in request.path} == {
            "2.25.70"
        }


@pytest.mark.slow
def test_a_full_disk_ends_a_pull_with_all_that_is_left_still_to_do(run, hospital, home):
    run("cohort", "make", "chest", "--server", "hospital", "PatientID=P*")
    settings = home / "dicomdock" / "config" / "settings.toml"
    settings.write_text(f"free_space_floor = {1 << 60}\n")
    pulled = run("cohort", "pull", "chest", "--json")
    assert pulled.code == 1
    assert pulled.json["series"]["left"] == 3
    assert "space" in pulled.json["stopped"]
    settings.write_text("")
    assert json.loads(run("cohort", "pull", "chest", "--json").out)["complete"] is True


FUNCTIONS = """
import os
import numpy
from dicomdock import Segmentation

print("what it prints is not an answer")


def measure(volume):
    if volume.modality == "MR":
        raise ValueError("no CT")
    if volume.array.shape[0] == 2 and "killed" in os.environ:
        os.kill(os.getpid(), 9)
    mask = volume.array > numpy.median(volume.array)
    return {"voxels": mask.sum(), "unit": volume.units}, Segmentation.from_array(mask, volume, names=["high"])
"""


def stored(settings: Settings) -> int:
    with Archive.open(settings) as archive:
        return archive.summary().instances


@pytest.mark.slow
def test_a_function_runs_on_every_series_and_its_objects_are_stored_once(
    run, hospital, settings, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code = Path("own.py")
    code.write_text(FUNCTIONS)
    run("cohort", "make", "all", "--server", "hospital", "PatientID=P*")
    assert run("cohort", "pull", "all").code == 0
    command = ("cohort", "run", "all", "own:measure", "--out", "out.parquet", "--workers", "1", "--json")
    monkeypatch.setenv("killed", "")
    ran = run(*command)
    assert ran.code == 3, ran.err
    assert {one["resource"]: one["reason"] for one in ran.json["failures"]} == {
        "2.25.1/2.25.12": "Its process ended: killed by SIGKILL.",
        "2.25.2/2.25.21": "ValueError: no CT",
    }
    first = {row["SeriesInstanceUID"]: row for row in rows("out.parquet")}
    assert {uid: (row["state"], row["unit"]) for uid, row in first.items()} == {
        "2.25.11": ("done", "HU"),
        "2.25.12": ("failed", None),
        "2.25.21": ("failed", None),
    }
    assert stored(settings) == 7 + 1
    with ApiArchive.open(settings) as archive:
        made = archive.segmentation(first["2.25.11"]["saved"])
        assert made.segments[0].mask.count == first["2.25.11"]["voxels"] > 0
        archive.remove("2.25.2")

    # As if the process had been killed between storing and answering: computing again stores nothing twice.
    (database,) = settings.state.glob("cohorts/all/outcomes.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("delete from outcome where task like 'run%'")
    monkeypatch.delenv("killed")
    again = run(*command)
    assert (again.json["now"], again.json["series"]["done"], stored(settings)) == (3, 2, 7 - 2 + 2)
    assert [one["reason"] for one in again.json["failures"]] == [
        "It is not in the archive; pull the cohort first."
    ]
    second = {row["SeriesInstanceUID"]: row for row in rows("out.parquet")}
    assert second["2.25.11"]["saved"] == first["2.25.11"]["saved"]
    assert run("cohort", "run", "all", "own:measure", "--out", "own.py").code == 2
    assert run("cohort", "run", "all", "missing.py:measure").code == 2


@pytest.mark.slow
def test_what_failed_and_what_is_left_is_done_again_as_it_was_begun(
    run, hospital, server, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(FUNCTIONS)
    Path("key").write_text("0" * 64)
    run("cohort", "make", "all", "--server", "hospital", "PatientID=P*")
    nothing = run("cohort", "retry", "all", "--json")
    assert (nothing.code, nothing.json["tasks"]) == (0, [])
    server.archive.remove(Resource("2.25.2"))  # while it is gone, its series fails
    assert run("cohort", "pull", "all").code == 3
    exported = ("--format", "nifti", "--deidentify", "basic", "--key-file", "key", "--workers", "1")
    assert run("cohort", "export", "all", "out", *exported).code == 3
    monkeypatch.setenv("killed", "")
    assert run("cohort", "run", "all", "own:measure", "--out", "out.parquet", "--workers", "1").code == 3

    server.add(*(one.data for one in hospital[5:]))
    monkeypatch.delenv("killed")
    (tmp_path / "key").rename(tmp_path / "away")
    again = run("cohort", "retry", "all", "--json")
    assert again.code == 3, again.err
    assert [one["task"].split(" ")[0] for one in again.json["tasks"]] == ["pull", "run"]
    assert [one["now"] for one in again.json["tasks"]] == [1, 2]
    assert [one["reason"] for one in again.json["tasks"][1]["failures"]] == ["ValueError: no CT"]
    (refused,) = again.json["refused"]  # never with another key
    assert refused["task"].startswith("export nifti basic")
    assert "key" in refused["reason"]
    assert {row["SeriesInstanceUID"]: row["state"] for row in rows("out.parquet")} == {
        "2.25.11": "done",
        "2.25.12": "done",
        "2.25.21": "failed",
    }

    (tmp_path / "away").rename(tmp_path / "key")
    last = run("cohort", "retry", "all", "--json")
    assert {one["task"].split(" ")[0]: one["complete"] for one in last.json["tasks"]} == {
        "run": False,
        "export": True,
    }
    assert len([*Path("out").rglob("*.nii.gz")]) == 3


PER_STUDY = """
from dicomdock import Segmentation


def measure(volumes):
    if volumes[0].modality == "MR":
        raise ValueError("no CT")
    largest = max(volumes, key=lambda volume: volume.array.size)
    mask = largest.array > -1000
    return {"volumes": len(volumes)}, Segmentation.from_array(mask, largest, names=["high"])
"""


@pytest.mark.slow
def test_a_function_of_studies_receives_all_volumes_of_each(run, hospital, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(PER_STUDY)
    run("cohort", "make", "all", "--server", "hospital", "PatientID=P*")
    run("cohort", "pull", "all")
    command = ("cohort", "run", "all", "own:measure", "--per-study", "--out", "out.csv")
    ran = run(*command, "--json")
    assert ran.code == 3, ran.err
    assert (ran.json["per"], ran.json["series"]["total"], ran.json["series"]["done"]) == ("study", 2, 1)
    assert ran.json["failures"] == [{"resource": "2.25.2", "reason": "ValueError: no CT"}]
    with Path("out.csv").open(newline="") as file:
        found = {row["StudyInstanceUID"]: row for row in csv.DictReader(file)}
    assert (found["2.25.1"]["volumes"], found["2.25.1"]["SeriesInstanceUID"]) == ("2", "")
    assert found["2.25.1"]["saved"].startswith("2.25.1/")
    Path("own.py").write_text(PER_STUDY.replace('"MR"', '"US"'))
    again = run(*command)
    assert again.code == 0, again.err
    assert "2 of 2 studies done" in again.out
    assert "2 of 2 studies done" in run("cohort", "status", "all").out
    assert run("cohort", "retry", "all").out.startswith("Nothing of all failed")
    assert run("cohort", "report", "all", "report.html").code == 0
