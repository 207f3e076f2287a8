"""The benchmarks run; what they measure is nobody's concern here."""

from __future__ import annotations

import shutil
import sys

import pytest
from benchmarks.rounds import spread, spread_of

from tests.conftest import PROJECT, unavailable
from tests.programs import Program
from tests.servers import orthanc

LIMIT = 1500.0  # seconds, of a run that takes 30 on a machine with nothing else to do


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.timeout(LIMIT + 100)
def test_all_benchmarks_that_need_no_browser_run():
    if remedy := orthanc.missing():
        unavailable("Orthanc", remedy)
    if shutil.which("curl") is None:
        unavailable("curl", "apt-get install curl")
    with Program([sys.executable, "-m", "benchmarks", "--smoke"], cwd=PROJECT, limit=LIMIT) as smoke:
        if smoke.ends() != 0:
            smoke.fail("did not run through")
        titles = [line for line in smoke.stderr.splitlines() if line.startswith("### ")]
    assert smoke.stderr.startswith("Load before the start: ")
    for kind in (
        "Pull, warm",
        "Pull as a process",
        "Push, warm",
        "Starting",
        "Import",
        "Download",
        "Peak",
        "Goals",
    ):
        assert any(title.startswith(f"### {kind}") for title in titles), kind


@pytest.mark.slow
def test_an_unknown_benchmark_is_refused_before_anything_runs():
    with Program([sys.executable, "-m", "benchmarks", "pul"], cwd=PROJECT) as unknown:
        assert unknown.ends() == 2
    assert "no benchmark pul" in unknown.stderr


def test_the_spread_is_the_notch_of_a_box_plot():
    # Quartiles 2, 3 and 4, by numpy.percentile; 1.58 * 2 / sqrt(5) / 3.
    assert spread([1.0, 5.0, 2.0, 4.0, 3.0]) == pytest.approx(0.47106, rel=1e-4)
    assert "noisy" in spread_of([1.0, 5.0, 2.0, 4.0, 3.0])
    assert spread_of([2.0] * 5) == "spread 0%"
    assert spread_of([1.0, 2.0]) == "spread not known"
