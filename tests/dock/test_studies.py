"""Studies found in several places, and the filter that finds them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from dicomdock.dock.pages.study_filter import Filter, as_key
from dicomdock.dock.studies import Found, Stream
from dicomdock.errors import Unreachable
from dicomdock.source import Page


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ({"hospital": 10}, "remote"),
        ({"local": 10}, "here"),
        ({"local": 10, "hospital": 10}, "both"),
        ({"local": 12, "hospital": 10}, "both"),
        ({"local": 3, "hospital": 10}, "partly"),
        ({"local": 10, "hospital": 9, "kheops": 11}, "partly"),
        ({"local": None, "hospital": 10}, "both"),
        ({"local": 3, "hospital": None}, "both"),
    ],
)
def test_the_mark_of_a_study(places: dict[str, int | None], expected: str):
    study = Found("1.2", {}, places)
    assert study.state() == expected
    assert study.state({"1.2"}) == "coming"


def test_merging_keeps_the_first_answer_and_fills_its_gaps():
    name, other = (
        {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        {"vr": "PN", "Value": [{"Alphabetic": "D^J"}]},
    )
    first = Found("1.2", {"00100010": name, "00080050": {}}, {"local": 1})
    second = Found("1.2", {"00100010": other, "00080050": {"vr": "SH", "Value": ["A1"]}}, {"hospital": 2})
    merged = first.merged(second)
    assert merged.attributes["00100010"] == name
    assert merged.attributes["00080050"] == {"vr": "SH", "Value": ["A1"]}
    assert merged.places == {"local": 1, "hospital": 2}
    assert merged.instances == 2


def test_a_stream_ends_with_its_source():
    stream = Stream("hospital", iter([Page((), more=None, total=5), Page((), more=None)]))
    stream.take()
    assert (stream.ended, stream.total) == (False, 5)
    stream.take()
    assert not stream.ended
    assert stream.take().matches == ()
    assert stream.ended


def test_a_stream_tells_why_its_source_failed():
    def pages() -> Iterator[Page]:
        yield Page((), warnings=("cut",))
        raise Unreachable("The server does not answer.")

    stream = Stream("hospital", pages())
    stream.take()
    stream.take()
    assert (stream.ended, stream.error, stream.warnings) == (True, "The server does not answer.", ("cut",))
    assert stream.take().matches == ()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("doe", "*doe*"), (" doe ", "*doe*"), ("Do?^J*", "Do?^J*"), ('"Doe^Jane"', "Doe^Jane"), ('"', '*"*')],
)
def test_what_is_typed_becomes_a_matching_key(typed: str, expected: str):
    assert as_key(typed) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(dates="today"), "20260301"),
        (Filter(dates="yesterday"), "20260228"),
        (Filter(dates="week"), "20260223-20260301"),
        (Filter(dates="range", since="2026-01-02"), "20260102-"),
        (Filter(dates="range", until="2026-01-02"), "-20260102"),
        (Filter(dates="range", since="2026-01-02", until="2026-01-05"), "20260102-20260105"),
        (Filter(dates="range"), None),
        (Filter(), None),
    ],
)
def test_dates_become_ranges(wanted: Filter, expected: str | None):
    assert wanted.to_match(date(2026, 3, 1)).get("StudyDate") == expected


def test_an_address_keeps_the_whole_filter():
    wanted = Filter({"PatientName": "Do*&x=1", "StudyDescription": "é"}, "range", "2026-01-02", "", "MR")
    assert Filter.from_address(wanted.to_address()) == wanted
    assert Filter.from_address(Filter().to_address()) == Filter()


def test_nonsense_in_an_address_is_passed_over():
    query = {"date": "never", "from": "<b>", "PatientName": "x" * 9999, "source": "y", "unknown": "z"}
    assert Filter.from_address(query) == Filter({"PatientName": "x" * 256})
