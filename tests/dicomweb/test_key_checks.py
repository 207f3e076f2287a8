"""Key checks: a key whose answer is known must be one that a server by the standard answers so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom.criteria import OneOf, parse
from dicomdock.dicom.query import Query
from dicomdock.dicomweb.key_checks import KeyChecks, kind_of, known_value
from tests.servers.matching import by_standard, tag_of, vr_of

VALUES = {
    "PatientID": st.text(st.characters(codec="latin-1"), max_size=12),
    "PatientName": st.text("AbC^= -'.", max_size=12),
    "StudyDate": st.one_of(st.dates().map(lambda day: f"{day:%Y%m%d}"), st.text("0123456789.-", max_size=9)),
    "StudyTime": st.one_of(
        st.times().map(lambda time: f"{time:%H%M%S}"),
        st.sampled_from(["10", "1015", "235960", "101500.5", "24", "9", "10:15:00"]),
    ),
    "Modality": st.text("ABCDEFGHIJ _19", max_size=16),
    "StudyInstanceUID": st.text("12.", max_size=20),
    "SeriesNumber": st.integers(-5, 10**6).map(str),
}


@st.composite
def rows_with_kinds(draw):
    keyword = draw(st.sampled_from(sorted(VALUES)))
    value: object = draw(VALUES[keyword])
    vr = vr_of(tag_of(keyword))
    shown = {"Alphabetic": value} if vr == "PN" else value
    ranged = ("range", "open range") if vr in ("DA", "TM") else ("list", "wildcard", "name")
    kinds = ("single", "question mark", *ranged)
    return keyword, draw(st.sampled_from(kinds)), {tag_of(keyword): {"vr": vr, "Value": [shown]}}


@pytest.mark.slow
@given(rows_with_kinds())
def test_a_server_by_the_standard_passes_every_check(drawn):
    """Whatever a row holds, nothing is raised, and no key is called misread that is read rightly."""
    keyword, kind, row = drawn
    sent = []

    def ask(name, value):
        sent.append(value)
        return [row] if by_standard(row, name, [value]) else []

    assert KeyChecks().check("series", keyword, kind, [row], ask) in (True, None)
    for value in sent:
        assert Query("series", {keyword: value}).matches(row)


@pytest.mark.slow
@given(rows_with_kinds())
def test_a_server_that_finds_nothing_is_never_trusted(drawn):
    keyword, kind, row = drawn
    assert KeyChecks().check("series", keyword, kind, [row], lambda *_: []) in (False, None)


@pytest.mark.parametrize(
    ("keyword", "key", "kind"),
    [
        ("PatientID", "P1", "single"),
        ("PatientID", "P1\\P2", "list"),
        ("Modality", "CT,MR", "list"),
        ("StudyInstanceUID", "1.2,1.3", "list"),
        ("PatientID", "P*", "wildcard"),
        ("PatientName", "Do?", "question mark"),
        ("PatientName", "Doe", "name"),
        ("StudyDate", "20200101", "single"),
        ("StudyDate", "20200101-", "open range"),
        ("StudyTime", "10-11", "range"),
        ("PatientID", "*", None),
        ("PatientID", "", None),
    ],
)
def test_the_kind_of_a_key(keyword, key, kind):
    assert kind_of(Query("series", {keyword: key}).criteria[keyword]) == kind


@pytest.mark.parametrize(("vr", "key"), [("CS", "CT,MR"), ("UI", "CT,MR"), ("CS", "CT\\MR")])
def test_a_comma_divides_where_no_value_can_hold_one(vr, key):
    assert parse("Modality", vr, key) == OneOf(("CT", "MR"))


def test_a_comma_belongs_to_a_description():
    assert parse("StudyDescription", "LO", "Head, contrast") == OneOf(("Head, contrast",))


def test_no_key_is_made_of_a_value_that_servers_read_in_their_own_ways():
    for value in ("a,b", "a*", "50%", 'say "a"', "J\u00f6rg", "", "a\\b"):
        row = {"00100020": {"vr": "LO", "Value": [value]}}
        assert known_value("single", "PatientID", row) == ""
