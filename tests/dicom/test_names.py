"""Person names as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom.names import person_name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^Q^Dr^MD", "Doe, Jane Q, Dr, MD"),
        ("Doe", "Doe"),
        ("^Jane", "Jane"),
        ("", ""),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田 太郎, やまだ たろう)"),
        ("=山田^太郎", "山田 太郎"),
        ({"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"}, "Wang, XiaoDong (王 小東)"),
        ({"Alphabetic": None}, ""),
        ("Люкceмбypг", "Люкceмбypг"),
        ("<b>Pat</b>^x", "<b>Pat</b>, x"),
    ],
)
def test_person_names(value: str | dict[str, str], expected: str):
    assert person_name(value) == expected


@pytest.mark.slow
@given(st.text(max_size=80))
def test_any_text_is_a_person_name(text: str):
    person_name(text)
