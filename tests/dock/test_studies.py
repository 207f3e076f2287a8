"""Studies found in several places, and the filter that finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from unittest.mock import Mock

import pytest

from dicomdock.config import dialects
from dicomdock.config.servers import Profiles, ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dock.pages import study_answer, study_list
from dicomdock.dock.pages.study_filter import Filter, as_key
from dicomdock.dock.pages.study_loading import OnLoad, StudyLoader
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import Events
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.sources import Sources
from dicomdock.dock.services.studies import Found, Listing, StudyFinder
from dicomdock.errors import Unreachable
from dicomdock.sources import Match, Page
from tests.builders import ct_series
from tests.dock.using import keep


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

    def listing(
        self,
        sources: list[str],
        order: Sequence[str] = (),
        dialects_: Mapping[str, dialects.Dialect] = MappingProxyType({}),
        **answers: object,
    ) -> Listing:
        profiles = Profiles(
            {
                name: ServerProfile(
                    name, f"http://{name}.example", dialect=dialects_.get(name, dialects.Dialect())
                )
                for name in answers
            }
        )
        profiles.save(self.settings)
        servers = Servers(self.settings, Events())
        finder = StudyFinder(self.local, servers, Answers(self.local, servers, answers))
        return finder.studies({}, sources, order)


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


def taken(listing: Listing) -> list[str]:
    """Take every page and return the UIDs of the studies as they came."""
    uids = []
    for stream in listing.streams:
        while not stream.ended:
            uids += [one.uid for one in listing.take(stream)]
    return uids


AWAY = Unreachable("It is away.")


@pytest.mark.parametrize(
    ("answers", "summary", "unknown"),
    [
        (
            {"near": [[]], "far": AWAY},
            "far did not answer",
            (
                "No answer from far",
                "This computer and near have none that matches; whether it has one is not known.",
            ),
        ),
        (
            {"near": AWAY, "far": AWAY},
            "near and far did not answer",
            (
                "No answer from near and far",
                "This computer has none that matches; whether they have one is not known.",
            ),
        ),
        ({"near": [["1.1", "1.2"]], "far": AWAY}, "2 studies; far did not answer", None),
        ({"near": [["1.1"]], "far": [["1.1"]]}, "1 study", None),
        ({"near": [[]], "far": [[]]}, "0 studies", None),
    ],
)
def test_an_answer_without_a_server_is_no_answer_without_studies(
    home_with_archive: Home, answers: dict[str, object], summary: str, unknown: tuple[str, str] | None
):
    listing = home_with_archive.listing(["local", "near", "far"], **answers)
    taken(listing)
    assert study_answer.summary(listing) == summary
    if unknown is not None:
        assert study_answer.unknown(listing.sources, listing.errors) == unknown


def test_no_server_that_answered_is_named_where_none_did():
    title, text = study_answer.unknown(["far"], {"far": "It is away."})
    assert (title, text) == ("No answer from far", "Whether there are studies that match is not known.")


@pytest.mark.slow
def test_the_archive_sorts_more_than_a_page_by_each_column_of_the_list(
    home_with_archive: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dicomdock.archive.search.FIRST_PAGE", 2)
    made = [
        ct_series(
            1 + number % 2,
            PatientName=f"N{number * 3 % 7}",
            PatientID=f"{number * 5 % 7}",
            StudyDate=f"2020010{number + 1}",
        )
        for number in range(7)
    ]
    keep(home_with_archive.settings, tmp_path / "made", [one for series in made for one in series])
    for column in study_list.COLUMNS:
        for descending in (False, True):
            order = study_list.order(column, descending)
            assert bool(order) is (column not in ("state", "places"))
            listing = home_with_archive.listing(["local"], order)
            first = listing.take(listing.streams[0])
            assert listing.more
            values = [study_list.row(one, ()) for one in first]
            uids = [one.uid for one in first] + taken(listing)
            assert len(set(uids)) == len(made) == len(uids)
            rows = [study_list.row(listing.found[uid], ()) for uid in uids]
            shown = [row.sort.get(column, row.cells[column]) for row in rows]
            if order:
                assert shown == sorted(shown, reverse=descending), (column, descending)
            assert values == rows[: len(values)]


def test_a_server_is_asked_for_an_order_where_it_sorts_and_is_searched_alone(home_with_archive: Home):
    by_name = ("PatientName",)
    for sources in (["far"], ["local", "far"]):
        assert home_with_archive.listing(sources, by_name, far=[[]]).query.order == ()
    kinds = {"far": dialects.DCM4CHEE}
    assert home_with_archive.listing(["far"], by_name, kinds, far=[[]]).query.order == by_name
    assert home_with_archive.listing(["local", "far"], by_name, kinds, far=[[]]).query.order == ()
    for column in ("id", "modality", "series", "images"):  # what QueryBuilder.java passes over
        order = study_list.order(column, descending=True)
        listing = home_with_archive.listing(["far"], order, kinds, far=[[]])
        assert listing.query.order == ()
        assert not listing.sorts(order)
        assert listing.sorts(by_name)


def test_an_archive_with_more_studies_than_are_loaded_to_sort_is_searched_again(
    home_with_archive: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dicomdock.archive.search.FIRST_PAGE", 2)
    monkeypatch.setattr("dicomdock.archive.search.LARGEST_PAGE", 2)
    made = [ct_series(1, PatientName=f"N{number * 3 % 7}")[0] for number in range(7)]
    keep(home_with_archive.settings, tmp_path / "made", made)

    async def run(function, *arguments):
        return function(*arguments)

    def loaded(order: tuple[str, bool], most: int) -> StudyLoader:
        monkeypatch.setattr("dicomdock.dock.pages.study_loading.LOADED_TO_SORT", most)
        quiet = OnLoad(lambda: None, lambda listing, waiting: None)
        loader = StudyLoader(run, Mock(), Mock(), order, quiet)
        loader.begin(home_with_archive.listing(["local"], study_list.order(*order)))
        asyncio.run(loader.first(loader.listing))
        return loader

    loader = loaded(("date", True), 4)
    assert len(loader.listing.found) == 2  # the archive sorts them: nothing more is loaded for it
    loader.order = ("patient", False)
    assert asyncio.run(loader.reorder())
    assert [
        text(one.attributes, "PatientName") for one in loaded(("patient", False), 4).listing.found.values()
    ] == ["N0", "N1"]
    loader.order = ("state", False)
    assert not asyncio.run(loader.reorder())  # by what the archive does not know
    few = loaded(("date", True), 20)
    few.order = ("patient", False)
    assert not asyncio.run(few.reorder())  # all are loaded, and the list sorts them
    assert len(few.listing.found) == 7
