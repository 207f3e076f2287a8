"""Studies found in several places, and the filter that finds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import pytest

from dicomdock.config.servers import Profiles, ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dock.pages.study_filter import Filter, as_key
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import Events
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.sources import Sources
from dicomdock.dock.services.studies import Found, Listing, StudyFinder
from dicomdock.errors import Unreachable
from dicomdock.sources import Match, Page


@pytest.mark.parametrize(
    ("counts", "expected"),
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
def test_the_mark_of_a_study(counts: dict[str, int | None], expected: str):
    study = Found("1.2", {}, counts)
    assert study.state() == expected
    assert study.state({"1.2"}) == "coming"


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


# ---- answers that are kept


class Answers(Sources):
    """The archive, and servers that answer as given."""

    def __init__(self, local: LocalArchive, servers: Servers, answers: Mapping[str, object]) -> None:
        super().__init__(local, servers)
        self.answers = answers

    def get(self, name: str):
        return super().get(name) if name == "local" else Said(self.answers[name])


class Said:
    """A server that says this, or fails so."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def search(self, query: Query) -> Iterator[Page]:
        if isinstance(self.answer, Exception):
            raise self.answer
        for uids in self.answer:
            matches = [Match({"0020000D": {"vr": "UI", "Value": [uid]}}) for uid in uids]
            yield Page(tuple(matches), more=None)


@dataclass(frozen=True)
class Home:
    """A home with an archive."""

    settings: Settings
    local: LocalArchive

    def listing(self, sources: list[str], **answers: object) -> Listing:
        profiles = Profiles({name: ServerProfile(name, f"http://{name}.example") for name in answers})
        profiles.save(self.settings)
        servers = Servers(self.settings, Events())
        finder = StudyFinder(self.local, servers, Answers(self.local, servers, answers))
        return finder.studies({}, sources)


@pytest.fixture
def home_with_archive(settings: Settings) -> Iterator[Home]:
    """A home with an empty archive."""
    local = LocalArchive(settings, Events())
    yield Home(settings, local)
    local.close()


def test_a_kept_answer_is_shown_until_the_server_has_answered(home_with_archive: Home):
    first = home_with_archive.listing(["hospital"], hospital=[["1.1", "1.2"], ["1.3"]])
    assert first.recall(first.streams[0]) == []
    first.take(first.streams[0])
    second = home_with_archive.listing(["hospital"], hospital=[["1.2", "1.4"]])
    (stream,) = second.streams
    assert {item.uid for item in second.recall(stream)} == {"1.1", "1.2"}
    assert second.age is not None
    changed = {item.uid: dict(item.counts) for item in second.take(stream)}
    assert changed == {"1.1": {}, "1.4": {"hospital": None}}
    assert set(second.found) == {"1.2", "1.4"}
    assert second.age is None


def test_a_kept_answer_stays_when_the_server_is_away(home_with_archive: Home):
    first = home_with_archive.listing(["hospital"], hospital=[["1.1"]])
    first.take(first.streams[0])
    second = home_with_archive.listing(["hospital"], hospital=Unreachable("hospital does not answer."))
    second.recall(second.streams[0])
    second.take(second.streams[0])
    assert set(second.found) == {"1.1"}
    assert second.errors["hospital"] == "hospital does not answer. Shown is its answer of just now."


def test_what_one_of_two_servers_lost_stays_at_the_other(home_with_archive: Home):
    both = home_with_archive.listing(["a", "b"], a=[["1.1"]], b=[["1.1"]])
    for stream in both.streams:
        both.take(stream)
    again = home_with_archive.listing(["a", "b"], a=[["1.1"]], b=[[]])
    for stream in again.streams:
        again.recall(stream)
    for stream in again.streams:
        again.take(stream)
    assert dict(again.found["1.1"].counts) == {"a": None}
