"""``multivolume``: over the volumes of a series, from the command line."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from tests.builders import write
from tests.imaging.test_multivolume import AFFINE, DIRECTIONS, SHAPE, diffusion

WEIGHTS = [(0.0, ()), *((1000.0, direction) for direction in DIRECTIONS)]
TRUTH = np.linspace(0.4e-3, 2e-3, int(np.prod(SHAPE))).reshape(SHAPE)


@pytest.fixture
def images(run, tmp_path):
    made = diffusion([np.round(20000 * np.exp(-b * TRUTH)) for b, _ in WEIGHTS], WEIGHTS)
    assert run("import", *write(tmp_path / "made", made)).code == 0
    return f"{made[0].study}/{made[0].series}"


@pytest.mark.slow
def test_a_diffusion_series_from_list_to_map(run, images, tmp_path):
    listed = run("multivolume", "list", images)
    assert (listed.code, listed.out.splitlines()[1]) == (0, "2: b-value 1000 s/mm2")
    table = tmp_path / "curve.csv"
    x, y, z = (AFFINE @ [1, 2, 3, 1])[:3]
    point = f"--point={x},{y},{z}"
    assert run("multivolume", "curve", images, point, "--csv", table).code == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [0, 1000, 1000, 1000]
    assert float(rows[1]["mean"]) == round(20000 * np.exp(-1000 * TRUTH[1, 2, 3]))
    again = run("multivolume", "curve", images, point, "--csv", table)
    assert (again.code, "exists already" in again.err) == (2, True)
    stored = run("multivolume", "diffusion", images, "--json")
    assert stored.code == 0, stored.err
    assert stored.json["unit"] == "um2/s"
    assert run("multivolume", "diffusion", images, "--trace", "1000").code == 0


@pytest.mark.slow
def test_combined_volumes_are_series_of_the_study(run, images):
    for how in ("mean", "maximum", "difference"):
        stored = run("multivolume", "combine", images, how, "--json")
        assert stored.code == 0, stored.err
        assert stored.json["resource"].startswith(images.split("/")[0])
    wrong = run("multivolume", "combine", images, "sum")
    assert (wrong.code, "mean, maximum or difference" in wrong.err) == (2, True)
    beyond = run("multivolume", "combine", images, "difference", "--volume", "9")
    assert (beyond.code, "volumes 1 to 4" in beyond.err) == (2, True)


@pytest.mark.slow
def test_refusals_are_sentences(run, images):
    neither = run("multivolume", "curve", images)
    assert (neither.code, "--segments or --point" in neither.err) == (2, True)
    bad = run("multivolume", "curve", images, "--point", "1,2")
    assert (bad.code, "three numbers" in bad.err) == (2, True)
    absent = run("multivolume", "diffusion", images, "--trace", "500")
    assert (absent.code, "there are 1000 s/mm2" in absent.err) == (1, True)
