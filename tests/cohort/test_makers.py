"""Lists of UIDs as spreadsheets and programs write them, and as they should not be."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from dicomdock.cohort.makers import Made, from_file
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotFound
from dicomdock.sources import DicomSource

WANTED = [Resource("1.2.3", "1.2.3.1"), Resource("1.2.3", "1.2.3.2")]
HEADER = "StudyInstanceUID,SeriesInstanceUID,Server"
ROWS = ["1.2.3,1.2.3.1,hospital", "1.2.3,1.2.3.2,hospital"]


def unknown(name: str) -> DicomSource:
    raise NotFound(f"There is no server {name}.")


def read(path: Path) -> Made:
    return from_file(path, "hospital", unknown)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_table_of_any_spreadsheet_is_read(
    tmp_path: Path, delimiter: str, ending: str, mark: str, quote: str
) -> None:
    lines = [delimiter.join(f"{quote}{cell}{quote}" for cell in line.split(",")) for line in (HEADER, *ROWS)]
    file = tmp_path / "list.tsv"
    file.write_bytes((mark + ending.join((*lines, ""))).encode())
    made = read(file)
    assert [*made.items] == WANTED
    assert {one.server for one in made.items.values()} == {"hospital"}
    assert made.problems == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("\n".join((HEADER, *ROWS)).encode("utf-16"), "not a table of comma-separated values in UTF-8"),
        (b"\xef\xbb\xbf", "has no rows"),
        (HEADER.encode() + b"\n", "has no rows"),
        (b"\n\n\n", "has no rows"),
        (b"SeriesInstanceUID\n1.2.3.1\n", "no column StudyInstanceUID; it has: SeriesInstanceUID"),
        (b'StudyInstanceUID\n"1.2.3\n', "Row 2 of list.csv: There is no server hospital."),
        (b"StudyInstanceUID\n" + b"1" * 200_000 + b"\n", "field larger than field limit"),
        (b"PK\x03\x04\x14\x00", "has no rows"),
        (b"StudyInstanceUID\n1.2.3\x00\n", ""),
        (b'{"StudyInstanceUID": "1.2.3"}\n[]\n', "has no column StudyInstanceUID"),
        (b"StudyInstanceUID,SeriesInstanceUID\n../../etc,1.2\n,1.2.3.1\n", "Row 2 of list.csv"),
    ],
)
def test_what_is_not_a_table_is_refused_with_a_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        read(file)
    assert sentence in str(refused.value)
    assert "\0" not in str(refused.value)


def test_rows_of_any_length_are_read(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"{HEADER}\n{ROWS[0]},more,and,more\n1.2.3,1.2.3.2\n1.2.9\n")
    made = read(file)
    assert [*made.items] == WANTED
    assert made.problems == ["Row 4 of list.csv: There is no server hospital."]


@pytest.mark.parametrize(
    "columns",
    [
        {"StudyInstanceUID": [1, 2], "SeriesInstanceUID": [3.5, None]},
        {"StudyInstanceUID": [None, None]},
        {"StudyInstanceUID": [["1.2.3"], []], "SeriesInstanceUID": [{"a": 1}, None]},
        {"StudyInstanceUID": [b"1.2.3", b"\xff"], "SeriesInstanceUID": [b"1.2.3.1", b""]},
        {"StudyInstanceUID": [date(2024, 1, 1), None], "SeriesInstanceUID": [True, False]},
        {"StudyInstanceUID": ["1.2.3", "1.2.3"], "SeriesInstanceUID": [float("nan"), 1.5]},
        {"StudyInstanceUID": []},
        {"SeriesInstanceUID": ["1.2.3.1"]},
    ],
)
def test_columns_of_other_types_are_refused_row_by_row(tmp_path: Path, columns: dict[str, list[Any]]) -> None:
    file = tmp_path / "list.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    try:
        made = read(file)
    except InvalidInput as error:
        assert str(error)
    else:
        assert not made.items or made.problems
