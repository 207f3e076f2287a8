"""Who is asked, how much at a time, and who is left alone."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.cohort.engine import Line, run_in_threads
from dicomdock.cohort.pull import shares
from dicomdock.cohort.state import Outcome
from dicomdock.cohort.table import Item
from dicomdock.dicom.resource import Resource
from dicomdock.errors import NoSpace


def items_of(*servers: str) -> list[Item]:
    return [Item(Resource("1.2", f"1.2.{number}"), server) for number, server in enumerate(servers)]


@pytest.mark.slow
@given(
    servers=st.lists(st.sampled_from("abc"), max_size=20),
    workers=st.integers(1, 5),
    limits=st.dictionaries(st.sampled_from("abc"), st.integers(1, 3)),
)
def test_every_series_has_its_turn_and_no_server_more_than_its_limit(servers, workers, limits):
    lock, busy, most = threading.Lock(), Counter(), Counter()

    def work(item: Item) -> Outcome:
        with lock:
            busy[item.server] += 1
            most[item.server] = max(most[item.server], busy[item.server])
        with lock:
            busy[item.server] -= 1
        return Outcome(item.resource, "done")

    items = items_of(*servers)
    done = [outcome.resource for outcome in run_in_threads(work, items, workers, limits)]
    assert sorted(map(str, done)) == sorted(str(item.resource) for item in items)
    assert all(count <= limits.get(server, workers) for server, count in most.items())


@pytest.mark.slow
@given(workers=st.integers(1, 64), requests=st.integers(2, 256))
def test_the_requests_of_all_series_together_are_within_the_limit(workers, requests):
    most, each = shares(workers, requests)
    assert most * each <= requests
    assert each >= 2


def test_a_server_that_asked_for_it_is_left_alone_and_others_are_not():
    line = Line(items_of("busy", "busy", "other"), {})
    first = line.next()
    assert first is not None
    assert first.server == "busy"
    line.ended("busy", Outcome(first.resource, "done", hold=0.05))
    second = line.next()
    assert second is not None
    assert second.server == "other"
    line.ended("other", Outcome(second.resource, "done"))
    while (last := line.next()) is None:  # it waits no longer than the server asked for
        assert line.wait()
    assert last.server == "busy"
    assert line.next() is None
    assert not line.wait()


def test_what_no_series_can_go_on_after_ends_the_work():
    cancelled = []

    def work(item: Item) -> Outcome:
        raise NoSpace("full")

    with pytest.raises(NoSpace):
        list(run_in_threads(work, items_of("a", "a", "a"), 1, {}, lambda: cancelled.append(True)))
    assert cancelled
