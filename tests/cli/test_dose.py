"""``dose``: dose-volume histograms from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from tests.builders import Made, encode, write
from tests.cli.test_images import SHAPE, label_map, labels
from tests.imaging.scans import AXIAL, scan
from tests.imaging.test_dose import FRAME, dose_of


@pytest.fixture
def planned(run, tmp_path):
    made = scan(np.zeros(SHAPE, np.int16), AXIAL, FrameOfReferenceUID=FRAME)
    dataset = dose_of(lambda x, y, z: 20 + 0 * x * y * z, StudyInstanceUID=made[0].study)
    dataset.ImagePositionPatient = ["-35", "-25", "5"]
    assert run("import", *write(tmp_path / "made", [*made, Made(dataset, encode(dataset))])).code == 0
    path, series = label_map(tmp_path / "labels.nii.gz", labels()), f"{made[0].study}/{made[0].series}"
    stored = run("import", path, "--segments-of", series, "--label", "1=liver", "--json")
    assert stored.code == 0, stored.err
    return f"{made[0].study}/{dataset.SeriesInstanceUID}", stored.json["resource"]


@pytest.mark.slow
def test_histograms_as_document_lines_and_csv(run, planned, tmp_path):
    dose, structures = planned
    table = tmp_path / "dvh.csv"
    found = run("dose", dose, "--structures", structures, "--csv", table, "--json")
    assert found.code == 0, found.err
    assert (found.json["resource"], found.json["structures"]) == (dose, structures)
    assert (found.json["dose_units"], found.json["dose_type"]) == ("GY", "PHYSICAL")
    assert found.json["dose_summation_type"] == "PLAN"
    liver = found.json["histograms"][0]
    assert (liver["structure"], liver["dose_unit"]) == ("liver", "Gy")
    assert [liver[one] for one in ("minimum", "mean", "maximum", "d98", "d2")] == pytest.approx([20] * 5)
    assert liver["volumes_ml"][0] == pytest.approx(liver["volume_ml"]) == pytest.approx(84 * 0.98 / 1000)
    assert table.read_text("utf-8").startswith("structure,dose,dose_unit,volume_ml,volume_percent")
    shown = run("dose", dose, "--structures", structures)
    assert "min 20, mean 20, max 20, D95 20, D2 20 Gy" in shown.out
    again = run("dose", dose, "--structures", structures, "--csv", table)
    assert (again.code, "exists already" in again.err) == (2, True)
    wrong = run("dose", structures, "--structures", structures)
    assert (wrong.code, "not an RT Dose" in wrong.err) == (1, True)
