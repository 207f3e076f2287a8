"""The pages of Parquet files, against pyarrow, and files whose footers lie."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.cohort.parquet_pages import Unreadable, pages_of
from dicomdock.cohort.table import read_rows
from dicomdock.errors import InvalidInput

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = 20_000
MEMORY = 500 << 20  # bytes that reading may take, as of all inputs under 1 MB


def written(columns: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer, **{"compression": "zstd", **options})
    return buffer.getvalue()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_have_the_values_and_bytes_that_pyarrow_wrote(
    version: str, compression: str, dictionary: bool
) -> None:
    columns = {
        "text": [f"1.2.{number}" if number % 7 else None for number in range(ROWS)],
        "number": [*range(ROWS)],
        "same": ["x"] * ROWS,
    }
    data = written(
        columns,
        compression=compression,
        use_dictionary=dictionary,
        data_page_version=version,
        data_page_size=1 << 12,
        row_group_size=7_000,
        write_page_checksum=True,
    )
    stated = parquet.ParquetFile(io.BytesIO(data)).metadata
    for number in range(3):
        values = 0
        for group in range(stated.num_row_groups):
            chunk = stated.row_group(group).column(number)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            end = start + chunk.total_compressed_size
            pages = [*pages_of(data, start, end)]
            # What is stated counts the headers of the pages too, some dozens of bytes each.
            unpacked = sum(page.unpacked for page in pages)
            assert 0 <= chunk.total_uncompressed_size - unpacked < 200 * len(pages)
            known = pages[0].values if chunk.dictionary_page_offset else 0
            values += sum(page.values for page in pages) - known
        assert values == ROWS


@pytest.mark.slow
@given(st.binary(max_size=200), st.integers(-5, 300), st.integers(-5, 300))
def test_any_bytes_give_pages_or_a_reason(data: bytes, start: int, end: int) -> None:
    try:
        assert len([*pages_of(data, start, end)]) <= len(data)
    except Unreadable as error:
        assert str(error)


def varint(number: int) -> bytes:
    number, found = number << 1, b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def lying(data: bytes) -> bytes:
    """Let the footer state that everything unpacks to almost nothing."""
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    stated = parquet.ParquetFile(io.BytesIO(data)).metadata
    for group in range(stated.num_row_groups):
        row_group = stated.row_group(group)
        chunks = [row_group.column(number) for number in range(row_group.num_columns)]
        for number in {row_group.total_byte_size, *(one.total_uncompressed_size for one in chunks)}:
            true = varint(number)
            footer = footer.replace(true, bytes([0xC8] + [0x80] * (len(true) - 2) + [0]))
    return data[: -8 - size] + footer + data[-8:]


LONG = 300 << 20  # letters
NUMBERS = 40_000_000


def many(value: Any) -> Any:
    """Return a column of one value ``ROWS`` times; pyarrow would hash 2 GB to find that it is one."""
    return pyarrow.DictionaryArray.from_arrays(np.zeros(ROWS, np.int32), [value])


def in_a_row(values: Any) -> Any:
    """Return a column of one row, a list."""
    return pyarrow.ListArray.from_arrays([0, len(values)], values)


# Without its schema pyarrow reads a dictionary as the values that it stands for.
BOMBS = {
    "one long text": lambda: lying(
        written(
            {
                "StudyInstanceUID": pyarrow.StringArray.from_buffers(
                    1,
                    pyarrow.py_buffer(np.array([0, LONG], np.int32)),
                    pyarrow.py_buffer(b"1" * LONG),
                )
            },
            use_dictionary=False,
        )
    ),
    "a value for many rows": lambda: written({"StudyInstanceUID": many(b"x" * 100_000)}, store_schema=False),
    "large text": lambda: written(
        {"StudyInstanceUID": pyarrow.array(["x" * 100_000] * ROWS, pyarrow.large_string())}
    ),
    "many in a row": lambda: written({"StudyInstanceUID": in_a_row(many("x" * 100_000))}, store_schema=False),
    "many numbers in a row": lambda: lying(
        written({"StudyInstanceUID": in_a_row(pyarrow.array(np.ones(NUMBERS, np.int64)))})
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_no_small_table_takes_much(bomb: str, tmp_path: Path) -> None:
    """488 bytes took 2.6 GB, 602 took 5 GB."""
    path = tmp_path / "table.parquet"
    path.write_bytes(BOMBS[bomb]())
    assert path.stat().st_size < 1 << 20
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import pyarrow.parquet\n"
        "from dicomdock.cohort.table import read_rows\n"
        "from dicomdock.errors import InvalidInput\n"
        # ru_maxrss would begin with what this process has had.
        "peak = lambda: int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) << 10\n"
        "before = peak()\n"
        "try: print(len(read_rows(Path(sys.argv[1]))))\n"
        "except InvalidInput as error: print(error)\n"
        f"assert peak() - before < {MEMORY}, (peak() - before) >> 20\n"
    )
    # A child: the peak of a process never falls.
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "far larger" in ran.stdout or ran.stdout == "0\n"


def test_a_cut_table_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    data = written({"StudyInstanceUID": [f"1.2.{number}" for number in range(500)]})
    for at in range(0, len(data), 97):
        path.write_bytes(data[:at] + data[at + 1 :])
        try:
            read_rows(path)
        except InvalidInput as error:
            assert str(path) in str(error)
