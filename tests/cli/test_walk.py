"""The walk of one study: find it on a server behind a password, pull, prove, change, push, pull it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.builders import Made, changed, ct_series, mr_series, write
from tests.conftest import shared_data
from tests.servers.orthanc import Orthanc


@pytest.fixture
def made(hospital: Orthanc) -> list[Made]:
    study = ct_series(3, PatientName="Doe^Jane", PatientID="P1")
    other = mr_series(2, PatientName="Roe^Richard", PatientID="P2")
    hospital.add(*(instance.data for instance in (*study, *other)))
    return study


def files(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_walk(run, hospital, made, tmp_path):
    found = run("search", "PatientName=Doe*", "--json")
    assert found.code == 0
    assert found.json["server"] == "hospital"
    assert found.json["level"] == "studies"
    assert [match["StudyInstanceUID"] for match in found.json["matches"]] == [made[0].study]

    pulled = run("pull", made[0].study, "--json")
    assert pulled.code == 0, pulled.err
    assert pulled.json["instances"] == {
        "expected": 3,
        "received": 3,
        "skipped": 0,
        "failed": 0,
        "missing": [],
    }
    assert pulled.json["complete"] is True
    again = run("pull", made[0].study, "--json").json["instances"]
    assert (again["received"], again["skipped"]) == (0, 3)

    assert run("verify").code == 0
    exported = tmp_path / "exported"
    assert run("export", made[0].study, exported).code == 0
    assert files(exported) == {instance.data for instance in made}

    new = changed(made[0], SOPInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.3", SeriesDescription="Changed")
    write(tmp_path / "new", [new])
    pushed = run("push", tmp_path / "new", "--server", "hospital", "--verify", "--json")
    assert pushed.code == 0, pushed.err
    assert pushed.json["instances"]["stored"] == 1
    assert [row["status"] for row in pushed.json["results"]] == ["stored"]
    assert hospital.stored_bytes("1.2.3.4") == new.data

    assert run("pull", f"{new.study}/1.2.3", "--json").code == 0
    assert run("export", f"{new.study}/1.2.3", tmp_path / "back").code == 0
    assert files(tmp_path / "back") == {new.data}


@pytest.mark.slow
def test_the_walk_with_a_real_series(run, hospital, tmp_path):
    folder = shared_data("mr-head")
    hospital.add(*folder.glob("*.dcm"))
    pulled = run("pull", "PatientName=*", "--json")
    assert pulled.code == 0, pulled.err
    assert pulled.json["instances"]["received"] == 384
    assert run("verify", "--json").code == 0
    study = run("list", "--json").json["matches"][0]["StudyInstanceUID"]
    assert run("export", study, tmp_path / "out").code == 0
    assert files(tmp_path / "out") == files(folder)
