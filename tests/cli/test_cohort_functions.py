"""Functions that do what no function should: each costs its own series, with a sentence, and no other."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
import pytest
from tests.archive.conftest import part
from tests.builders import ct_series
from tests.cli.conftest import Run

from dicomdock.archive import Archive
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

FUNCTION = """
import os
import sys

import numpy


def raises(volume):
    raise ValueError("a name of a file: \\udcff" + "x" * 100_000)


def exits(volume):
    sys.exit("that is all")


def asks(volume):
    return input()


def prints(volume):
    print('{"result": {"value": "printed"}}')
    os.write(1, b'{"result": {"value": "written"}}\\n')
    with open("/proc/self/oom_score_adj") as file:
        return int(file.read())


def claims(volume):
    return numpy.zeros(1 << 55)


def returns_a_generator(volume):
    return (one for one in "abc")


def returns_itself(volume):
    found = []
    found.append(found)
    return found


def returns_odd_cells(volume):
    return {"state": "mine", "big": 1 << 80, "text": "\\udcff\\n\\0", "": float("nan"), "huge": 10**5000}


def returns_cells(volume):
    return {"state": "mine", "big": 1 << 80, "text": "\\udcff\\n\\0", "": float("nan")}


def hoards(volume):
    return numpy.empty(6 << 30, numpy.uint8).size


FUNCTIONS = (
    raises, exits, asks, prints, claims, returns_a_generator, returns_itself, returns_odd_cells,
    returns_cells, hoards,
)


def chosen(volume):
    return FUNCTIONS[volume.array.shape[0] - 2](volume)
"""


@pytest.mark.slow
def test_each_costs_its_own_series(run: Run, settings: Settings, tmp_path: Path) -> None:
    study = "2.25.1"
    made = [
        one.data
        for number in range(10)
        for one in ct_series(
            2 + number, rows=4, columns=4, StudyInstanceUID=study, SeriesInstanceUID=f"2.25.1{number}"
        )
    ]
    with Archive.open(settings) as archive:
        assert {one.status for one in archive.store(map(part, made))} == {"stored"}
    Cohorts(settings).save("c", [Item(Resource(study, f"2.25.1{number}")) for number in range(10)], {})
    code = tmp_path / "own.py"
    code.write_text(FUNCTION)
    out = tmp_path / "out.parquet"
    ran = run(
        "cohort", "run", "c", f"{code}:chosen", "--workers", "1", "--memory", "4", "--out", out, "--json"
    )
    assert ran.code == 3, ran.err
    reasons = {one["resource"].rpartition("/")[2]: one["reason"] for one in ran.json["failures"]}
    assert {uid: reason[:30] for uid, reason in reasons.items()} == {
        "2.25.10": "ValueError: a name of a file: ",
        "2.25.11": "Its process ended: exit code 1",
        "2.25.12": "EOFError: EOF when reading a l",
        "2.25.14": "There was not enough memory: U",
        "2.25.15": "TypeError: the function return",
        "2.25.16": "RecursionError: maximum recurs",
        "2.25.17": "ValueError: Exceeds the limit ",
        "2.25.19": "There was not enough memory: U",
    }
    assert max(map(len, reasons.values())) < 2000
    rows = {row["SeriesInstanceUID"]: row for row in pyarrow.parquet.read_table(out).to_pylist()}
    assert rows["2.25.13"]["value"] == 1000  # where memory runs out, it is killed first
    last = rows["2.25.18"]
    assert (last["state"], last["function.state"], last["big"]) == ("done", "mine", str(1 << 80))
    assert last["text"] == "?\n\0"
    assert last[""] != last[""]
