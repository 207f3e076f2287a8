"""Numbers in words, tables and pictures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.imaging.measurements.measurement import AREA, SQUARE_MILLIMETRE, Value
from dicomdock.imaging.numbers import number_text


@given(
    st.floats(1e-4, 1e15, exclude_max=True), st.sampled_from((1, -1)), st.integers(min_value=3, max_value=6)
)
def test_numbers_are_read_without_an_exponent_and_keep_their_digits(
    size: float, sign: int, digits: int
) -> None:
    text = number_text(sign * size, digits)
    assert "e" not in text
    assert float(text) == pytest.approx(sign * size, rel=0.5001 * 10 ** (1 - digits))
    assert abs(float(text) - sign * size) <= 0.5 or size < 10**digits - 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12.345, "12.35"),
        (1164.467, "1164"),
        (9999.6, "10000"),
        (25340.2, "25340"),
        (2.5e-7, "2.5e-07"),
    ],
)
def test_numbers_have_four_digits_or_all_before_the_point(value: float, text: str) -> None:
    assert number_text(value) == text
    assert number_text(math.copysign(value, -1)) == f"-{text}"


def test_what_is_measured_says_all_digits_of_a_large_number() -> None:
    assert Value(AREA, 25340.2, SQUARE_MILLIMETRE).words == "Area 25340 mm²"
