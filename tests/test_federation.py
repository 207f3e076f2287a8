"""Federated search: nobody waits for anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from dicomdock import federation
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Unreachable
from dicomdock.sources import DicomJson, Match, Page
from tests.waiting import until

WAIT = 60.0  # seconds; nothing here takes any


class Told:
    """A source that gives pages when a test lets it."""

    def __init__(self, name: str, *pages: object, gate: threading.Event | None = None) -> None:
        self.name, self.pages, self.gate = name, pages, gate
        self.given = 0

    def search(self, query: Query) -> Iterator[Page]:
        for page in self.pages:
            if self.gate is not None:
                assert self.gate.wait(WAIT)
            if isinstance(page, Exception):
                raise page
            self.given += 1
            yield Page(tuple(Match(row) for row in page), more=None)


def study(uid: str, **attributes: str) -> DicomJson:
    values = {"StudyInstanceUID": uid, **attributes}
    return {tag_of(key): {"vr": "LO", "Value": [value] if value else []} for key, value in values.items()}


def opened(*sources: Told) -> dict[str, Callable[[], Told]]:
    return {source.name: lambda source=source: source for source in sources}


def test_answers_come_at_once_although_another_says_nothing():
    gate = threading.Event()
    slow = Told("slow", [study("1.9")], gate=gate)
    quick = [Told(f"quick{number}", [study(f"1.{number}")]) for number in range(4)]
    answers = federation.search(opened(slow, *quick), Query(), patience=WAIT)
    came: list[tuple[str, float]] = []
    for answer in answers:
        if answer.found:
            came.append((answer.source, answer.seconds))
        if len(came) == 4:
            break
    assert {name for name, _ in came} == {"quick0", "quick1", "quick2", "quick3"}
    gate.set()
    rest = [answer for answer in answers if answer.found]
    assert [answer.source for answer in rest] == ["slow"]


def test_each_answer_is_handed_on_while_all_others_are_awaited():
    gates = {f"s{number}": threading.Event() for number in range(5)}
    sources = [Told(name, [study(f"1.{name[1]}")], gate=gate) for name, gate in gates.items()]
    answers = federation.search(opened(*sources), Query(), patience=WAIT)
    came = []
    for name in reversed(gates):
        gates[name].set()
        answer = next(answer for answer in answers if answer.found)
        came.append(answer.source)
        assert answer.seconds < WAIT / 2  # nobody waited for the end of the patience
    assert came == [*reversed(gates)]
    assert not [answer for answer in answers if answer.found or answer.error]


def test_the_same_study_is_one_and_says_where_it_is():
    one = Told("one", [study("1.1", PatientName="A^B", StudyDescription="")])
    two_gate = threading.Event()
    two = Told("two", [study("1.1", StudyDescription="Head"), study("1.2")], gate=two_gate)
    found: list[federation.Found] = []
    for answer in federation.search(opened(one, two), Query()):
        found += answer.found
        two_gate.set()
    first, again, other = found
    assert first.sources == ("one",)
    assert again.sources == ("one", "two")
    assert text(again.attributes, "PatientName") == "A^B"
    assert text(again.attributes, "StudyDescription") == "Head"
    assert other.sources == ("two",)


def test_who_fails_is_named_and_the_others_go_on():
    broken = Told("broken", [study("1.1")], Unreachable("broken cannot be reached."))
    fine = Told("fine", [study("1.2")])
    answers = list(federation.search(opened(broken, fine), Query()))
    assert {answer.source: answer.error for answer in answers if answer.last} == {
        "broken": "broken cannot be reached.",
        "fine": "",
    }
    assert {found.resource.study for answer in answers for found in answer.found} == {"1.1", "1.2"}


def test_a_source_that_cannot_even_be_opened_is_named():
    def opening() -> Told:
        raise Unreachable("no such host")

    (answer,) = federation.search({"gone": opening}, Query())
    assert (answer.source, answer.error, answer.slow) == ("gone", "no such host", False)


class Clock:
    """The clock of the federation, which a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(federation, "time", clock)
    return clock


def test_who_is_slow_is_left_behind_and_named(clock: Clock):
    never = threading.Event()
    slow = Told("slow", [study("1.1")], gate=never)
    fine = Told("fine", [study("1.2")])
    answers = []
    for answer in federation.search(opened(slow, fine), Query(), patience=WAIT):
        answers.append(answer)
        if answer.source == "fine" and answer.last:
            clock.now += WAIT
    assert [answer.source for answer in answers if answer.slow] == ["slow"]
    assert f"slow did not answer within {WAIT:g} seconds" in answers[-1].error
    never.set()


def test_a_reader_who_takes_time_makes_no_source_slow_and_no_source_runs_ahead(clock: Clock):
    quick = Told("quick", *[[study(f"1.{number}")] for number in range(50)])
    answers = federation.search(opened(quick), Query(), patience=WAIT)
    taken = len(next(answers).found)
    until(lambda: quick.given == federation.PAGES_AHEAD + 2)
    clock.now += 2 * WAIT  # a reader thinks for longer than the patience
    for answer in answers:
        assert not answer.slow
        taken += len(answer.found)
        assert quick.given <= taken + federation.PAGES_AHEAD + 1
    assert taken == 50


def test_closing_asks_for_no_more():
    quick = Told("quick", *[[study(f"1.{number}")] for number in range(50)])
    answers = federation.search(opened(quick), Query())
    next(answers)
    answers.close()
    assert quick.given <= federation.PAGES_AHEAD + 3


def test_series_are_joined_below_the_study_that_was_asked_for():
    def series(uid: str) -> DicomJson:
        return {tag_of("SeriesInstanceUID"): {"vr": "UI", "Value": [uid]}}

    sources = opened(Told("a", [series("1.2.1")]), Told("b", [series("1.2.1"), {}]))
    query = Query("series", {"StudyInstanceUID": "1.2"})
    found = [one for answer in federation.search(sources, query) for one in answer.found]
    assert [str(one.resource) for one in found] == ["1.2/1.2.1", "1.2/1.2.1"]
    assert sorted(found[-1].sources) == ["a", "b"]


def test_joining_keeps_the_first_answer_and_fills_its_gaps():
    name, other = (
        {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        {"vr": "PN", "Value": [{"Alphabetic": "D^J"}]},
    )
    count = {"00201208": {"vr": "IS", "Value": [2]}}
    join = federation.Join(Query())
    join.add("local", [Match({**study("1.2"), "00100010": name, "00080050": {"vr": "SH"}})])
    (joined,) = join.add(
        "hospital",
        [Match({**study("1.2"), "00100010": other, "00080050": {"vr": "SH", "Value": ["A1"]}, **count})],
    )
    assert joined.attributes["00100010"] == name
    assert joined.attributes["00080050"] == {"vr": "SH", "Value": ["A1"]}
    assert joined.counts == {"local": None, "hospital": 2}


def test_what_a_source_no_longer_lists_is_removed_from_it_alone():
    join = federation.Join(Query())
    join.add("a", [Match(study("1.1")), Match(study("1.2"))])
    join.add("b", [Match(study("1.1"))])
    left = join.remove("a", [Resource("1.1"), Resource("1.2"), Resource("1.3")])
    assert [(str(one.resource), one.sources) for one in left] == [("1.1", ("b",)), ("1.2", ())]
    assert [str(one.resource) for one in join] == ["1.1"]


def test_a_stream_ends_with_its_source():
    stream = federation.Stream("hospital", iter([Page((), more=None, total=5), Page((), more=None)]))
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

    stream = federation.Stream("hospital", pages())
    stream.take()
    stream.take()
    assert (stream.ended, stream.error, stream.warnings) == (True, "The server does not answer.", ("cut",))
    assert stream.take().matches == ()
