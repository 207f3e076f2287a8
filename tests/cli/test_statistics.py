"""``statistics``: numbers of segments from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from tests.builders import write
from tests.cli.test_images import SHAPE, label_map, labels
from tests.imaging.scans import scan


@pytest.fixture
def drawn(run, tmp_path):
    made = scan((np.arange(np.prod(SHAPE)) % 840).reshape(SHAPE).astype(np.int16))
    assert run("import", *write(tmp_path / "made", made)).code == 0
    path = label_map(tmp_path / "labels.nii.gz", labels())
    series = f"{made[0].study}/{made[0].series}"
    stored = run(
        "import", path, "--segments-of", series, "--label", "1=liver", "--label", "2=tumor", "--json"
    )
    assert stored.code == 0, stored.err
    return series, stored.json["resource"]


@pytest.mark.slow
def test_numbers_as_document_table_and_csv(run, drawn, tmp_path):
    series, resource = drawn
    table = tmp_path / "numbers.csv"
    found = run("statistics", resource, "--csv", table, "--json")
    assert found.code == 0, found.err
    assert (found.json["resource"], found.json["images"]) == (resource, series)
    assert [one["voxels"] for one in found.json["segments"]] == [84, 40]
    assert found.json["segments"][0]["volume_ml"] == pytest.approx(84 * 0.98 / 1000)
    assert table.read_text("utf-8").startswith("segment,label,voxels,volume_ml")
    assert len(table.read_text("utf-8").splitlines()) == 3
    shown = run("statistics", resource)
    assert shown.code == 0
    assert "liver" in shown.out
    assert f"2 segments measured on {series}." in shown.out
    again = run("statistics", resource, "--csv", table)
    assert (again.code, "exists already" in again.err) == (2, True)
    meshes = run("export", resource, tmp_path / "meshes", "--format", "stl", "--smoothing", "0", "--json")
    assert (meshes.code, len(meshes.json["files"])) == (0, 2), meshes.err
    assert run("export", resource, tmp_path / "dicom", "--smoothing", "3").code == 2
    stored = run("statistics", resource, "--save", "--json")
    assert stored.code == 0, stored.err
    assert found.json["report"] is None
    assert stored.json["report"].split("/")[0] == series.split("/")[0]
    assert run("remove", stored.json["report"], "--force", "--yes").code == 0


@pytest.mark.slow
def test_refusals_are_sentences(run, drawn):
    series, resource = drawn
    wrong = run("statistics", series)
    assert wrong.code == 2
    assert "6 instances of CT; name one" in wrong.err
    unknown = run("statistics", resource, "--suv", "SUL")
    assert (unknown.code, "SUV Type is one of BW, LBM" in unknown.err) == (2, True)
    absent = run("statistics", resource, "--images", f"{series.split('/')[0]}/1.2.3")
    assert absent.code == 1
    assert "not in the local archive" in absent.err
    assert run("remove", series).code == 0
    gone = run("statistics", resource)
    assert gone.code == 1
    assert "not in the archive" in gone.err
