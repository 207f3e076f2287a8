"""A search of the archive in an order that is asked for: that of every match, page after page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomdock.archive import Archive
from dicomdock.archive.index import access
from dicomdock.config.settings import Settings
from dicomdock.dicom.criteria import fold_name
from dicomdock.dicom.json_model import text, value
from dicomdock.dicom.query import Query
from dicomdock.sources import Match
from tests.archive.conftest import part
from tests.builders import Made, ct_series

KEYS = ("PatientName", "PatientID", "StudyDate", "StudyDescription", "NumberOfStudyRelatedInstances")
NAMES = ("Ångström^Bo", "angstrom^Bo", "Doe^Jane", "doe^Ann", "Zoë^X", "")


def study(number: int) -> list[Made]:
    """Make a study, of few different values, some of them empty."""
    keys = {
        "PatientName": NAMES[number % len(NAMES)],
        "PatientID": f"P{number % 4}" if number % 4 else "",
        "StudyDate": f"2020010{number % 3 + 1}" if number % 5 else "",
        "StudyDescription": ("Head", "", "Knee")[number % 3],
        "SpecificCharacterSet": "ISO_IR 192",
    }
    return ct_series(1 + number % 3, **keys)


@pytest.fixture
def filled(archive_settings: Settings) -> Archive:
    made = [one for number in range(24) for one in study(number)]
    with Archive.open(archive_settings) as archive:
        list(archive.store([part(one.data) for one in made]))
        yield archive


def shown(match: Match, keyword: str) -> str | int:
    """Return what a match is sorted by."""
    if keyword.startswith("Number"):
        return int(str(value(match.attributes, keyword)))
    found = text(match.attributes, keyword)
    return fold_name(found) if keyword == "PatientName" else found


def sorted_by(matches: Sequence[Match], order: Sequence[str]) -> bool:
    """Compare neighbours: the first key in which they differ decides, and what is missing is last."""
    for one, other in pairwise(matches):
        for key in order:
            keyword = key.removeprefix("-")
            left, right = shown(one, keyword), shown(other, keyword)
            if left == right:
                continue
            if right == "" or (left != "" and (left > right) is key.startswith("-")):
                break
            return False
    return True


def searched(archive: Archive, query: Query) -> list[Match]:
    return [match for page in archive.search(query) for match in page.matches]


ORDERS = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).flatmap(
    lambda keys: st.tuples(*(st.sampled_from((key, f"-{key}")) for key in keys))
)


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True])
def test_every_match_comes_once_and_in_the_order_asked_for(
    filled: Archive, monkeypatch: pytest.MonkeyPatch, large: bool
):
    if large:  # no condition has few matches, and those at the head of the order fill no page
        monkeypatch.setattr(access, "FEW", 0)
        monkeypatch.setattr(access, "HEAD", 5)
        monkeypatch.setattr(access, "PAGE", 4)
    monkeypatch.setattr("dicomdock.archive.search.FIRST_PAGE", 3)  # so that pages begin in the middle of ties
    monkeypatch.setattr("dicomdock.archive.search.LARGEST_PAGE", 7)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        order=ORDERS, offset=st.integers(0, 26), limit=st.integers(1, 12), name=st.sampled_from(("", "*o*"))
    )
    def check(order: tuple[str, ...], offset: int, limit: int, name: str) -> None:
        query = Query(match={"PatientName": name}, order=order)
        every = searched(filled, query)
        assert len({text(match.attributes, "StudyInstanceUID") for match in every}) == len(every)
        assert len(every) == (20 if name else 24)
        assert len(searched(filled, replace(query, order=()))) == len(every)
        assert sorted_by(every, order)
        assert searched(filled, replace(query, offset=offset, limit=limit)) == every[offset : offset + limit]

    check()


@pytest.mark.slow
@pytest.mark.parametrize("few", [access.FEW, 0])
def test_series_and_instances_are_sorted_by_what_is_of_their_study_too(
    filled: Archive, monkeypatch: pytest.MonkeyPatch, few: int
):
    monkeypatch.setattr(access, "FEW", few)
    monkeypatch.setattr(access, "HEAD", 5)
    for level in ("series", "instances"):
        by_own = Query(level, {"Modality": "CT"}, order=("-Modality", "PatientID"))
        assert searched(filled, replace(by_own, offset=9, limit=4)) == searched(filled, by_own)[9:13]
        query = Query(level, {"Modality": "CT"}, order=("-PatientID", "StudyDescription"))
        found = searched(filled, query)
        assert searched(filled, replace(query, offset=9, limit=4)) == found[9:13]
        assert len(found) > 23
        assert sorted_by(found, ("-PatientID", "StudyDescription"))


@pytest.mark.slow
def test_an_order_that_the_index_does_not_have_is_named(filled: Archive):
    first = next(filled.search(Query(order=("SeriesNumber", "-PatientID", "Manufacturer"))))
    assert [warning.split()[0] for warning in first.warnings] == ["SeriesNumber", "Manufacturer"]
    assert sorted_by(first.matches, ("-PatientID",))
