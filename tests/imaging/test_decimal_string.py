"""Decimal strings: numbers in the 16 characters that DICOM has for them."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.valuerep import DS

from dicomdock.imaging.authoring import decimal_string


@given(st.floats(-1e300, 1e300))
@example(9.999999999999998)  # rounds to one digit more before the point
@example(-1.2345678901234567e300)
@example(5e-324)
def test_a_number_is_a_valid_decimal_string_close_to_it(value: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = DS(decimal_string(value))
    assert float(read) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        decimal_string(value)
