"""Human forms of DICOM values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dock import formatting


@pytest.mark.slow
@given(st.text(max_size=80))
def test_any_text_is_a_date_and_time(text: str):
    formatting.dicom_date(text)
    formatting.dicom_time(text)
    formatting.age(text, text, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20261102", "2026-11-02"), ("2026.11.02", "2026-11-02"), ("2026", "2026"), ("", "")],
)
def test_dates(text: str, expected: str):
    assert formatting.dicom_date(text) == expected


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        (("042Y", "", ""), "42 y"),
        (("006M", "", ""), "6 mo"),
        (("", "19840301", "20260228"), "41 y"),
        (("", "19840301", "20260301"), "42 y"),
        (("", "20300101", "20260101"), ""),
        (("", "", "20260101"), ""),
    ],
)
def test_ages(ages: tuple[str, str, str], expected: str):
    assert formatting.age(*ages) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (81_234_567, "81 MB"),
        (9_960_000, "10 MB"),
        (1.5e12, "1.5 TB"),
    ],
)
def test_sizes(count: float, expected: str):
    assert formatting.size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (260_000, "3 days"),
    ],
)
def test_durations(seconds: float, expected: str):
    assert formatting.duration(seconds) == expected


def test_counts():
    assert formatting.counted(1, "study", "studies") == "1 study"
    assert formatting.counted(1204, "image") == "1,204 images"
    assert formatting.listed(["a"]) == "a"
    assert formatting.listed(["a", "b", "c"]) == "a, b and c"
    assert formatting.listed("abcdefg") == "a, b, c, d and 3 more"
