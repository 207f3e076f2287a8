"""``registration`` from the command line."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import generate_uid
from tests.builders import write
from tests.imaging.scans import AXIAL, scan

VALUES = np.random.default_rng(2).integers(0, 500, (6, 8, 9)).astype(np.int16)
SHIFT = np.array([2.0, -3.0, 4.0])


@pytest.fixture
def pair(run, tmp_path):
    """Return a series, and the same one in another frame of reference, where all lies shifted."""
    study, frames = generate_uid(), [generate_uid(), generate_uid()]
    away = AXIAL.copy()
    away[:3, 3] -= SHIFT
    fixed = scan(VALUES, AXIAL, StudyInstanceUID=study, FrameOfReferenceUID=frames[0])
    moving = scan(VALUES, away, StudyInstanceUID=study, FrameOfReferenceUID=frames[1])
    assert run("import", *write(tmp_path / "fixed", fixed), *write(tmp_path / "moving", moving)).code == 0
    return [f"{one[0].study}/{one[0].series}" for one in (fixed, moving)]


@pytest.mark.slow
def test_landmarks_register_and_the_registration_is_applied(run, pair, tmp_path):
    points = np.array([[0, 0, 0], [30, 5, 0], [0, 40, 10], [7, 7, 50]], float)
    table = tmp_path / "pairs.csv"
    np.savetxt(table, np.hstack([points, points - SHIFT]), delimiter=",")
    stored = run("registration", "landmarks", *pair, table, "--json")
    assert stored.code == 0, stored.err
    assert stored.json["error_mm"] < 1e-9
    (shown,) = run("registration", "show", pair[0].split("/")[0], "--json").json
    assert np.allclose(np.array(shown["matrix"])[:3, 3], SHIFT)
    target = tmp_path / "moved.nii.gz"
    applied = run("registration", "apply", stored.json["resource"], *pair, target)
    assert applied.code == 0, applied.err
    assert np.allclose(nib.load(target).get_fdata().T, VALUES, atol=1)
    back = run("registration", "apply", stored.json["resource"], *pair[::-1], tmp_path / "back.nii.gz")
    assert back.code == 0, back.err


@pytest.mark.slow
def test_a_shift_by_hand_and_refusals(run, pair, tmp_path):
    assert run("registration", "matrix", *pair, "--shift", "2,-3,4").code == 0
    for options, words in (
        ((), "--shift or --matrix"),
        (("--shift", "1,2"), "3 numbers"),
        (("--matrix", ",".join(["2"] * 16)), "not rigid"),
    ):
        wrong = run("registration", "matrix", *pair, *options)
        assert wrong.code != 0
        assert words in wrong.err
    same = run("registration", "matrix", pair[0], pair[0], "--shift", "1,2,3")
    assert (same.code, "registered already" in same.err) == (1, True)
    (tmp_path / "two.csv").write_text("1,2,3,4,5,6\n2,3,4,5,6,7\n")
    few = run("registration", "landmarks", *pair, tmp_path / "two.csv")
    assert (few.code, "three pairs" in few.err) == (1, True)
