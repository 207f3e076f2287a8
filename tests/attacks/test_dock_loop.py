"""20,000 studies that a server names, files that are dropped, instances that fail: pages have their turns."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import MagicMock, Mock

import pytest

from dicomdock.dicom import json_model, json_text
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dock import widgets
from dicomdock.dock.pages import transfers, upload_batch
from dicomdock.dock.pages.study_loading import AT_ONCE, OnLoad, StudyLoader
from dicomdock.dock.pages.transfers import TransfersPage
from dicomdock.dock.pages.upload_batch import Preview, Results
from dicomdock.dock.services.studies import Found, Listing
from dicomdock.dock.services.uploads import Batch, InspectedFile, Outcome, SeriesGroup
from dicomdock.federation import Join
from dicomdock.sources import Match
from dicomdock.transfer import Item

STUDIES = 20_000
PARTS = ("again", "bar", "done", "go", "line", "local", "message", "others", "others_title", "panel")
PARTS += ("place", "status", "target", "title", "transfers")
T = TypeVar("T")


def match(number: int) -> Match:
    attributes: DicomJson = {"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}}
    return Match(attributes)


async def turns_during(work: Awaitable[object]) -> int:
    """Return how often another task has its turn before the work is done."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beating = asyncio.create_task(other())
    await asyncio.sleep(0)
    turns = 0
    await work
    beating.cancel()
    return turns


def chunked(sizes: list[int]) -> Any:
    """A grid that notes how many rows it is given at once."""
    grid = Mock()

    def note(rows: Iterable[widgets.Row]) -> None:
        sizes.append(len([*rows]))

    grid.set_rows = grid.patch_rows = note
    grid.patch_many_rows = partial(widgets.Grid.patch_many_rows, grid)
    grid.set_many_rows = partial(widgets.Grid.set_many_rows, grid)
    return grid


def loader(grid: Any) -> StudyLoader:
    return StudyLoader(Mock(), grid, Mock(), ("", False), OnLoad(Mock(), Mock()))


def test_a_loop_that_is_held_is_noticed() -> None:
    async def holds() -> None:
        for _ in range(STUDIES):
            pass

    assert asyncio.run(turns_during(holds())) == 0


@pytest.mark.slow
def test_another_thread_has_its_turns_while_an_answer_is_decoded(monkeypatch: Any) -> None:
    body = json.dumps([match(number).attributes for number in range(2 * STUDIES)]).encode()
    turns, during = 0, list[int]()
    load = json_text.load

    def loading(*text: Any) -> object:
        before = turns
        found = load(*text)
        during.append(turns - before)
        return found

    monkeypatch.setattr(json_text, "load", loading)
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    decoded: list[list[DicomJson]] = []
    decoding = threading.Thread(target=lambda: decoded.append(json_model.parse(body)))
    sys.setswitchinterval(1e-4)
    try:
        decoding.start()
        while not during and decoding.is_alive():
            time.sleep(0)
            turns += 1
        decoding.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(decoded[0]) == 2 * STUDIES
    assert during[0] > 20
    assert gc.get_threshold() == thresholds


@pytest.mark.slow
def test_rows_are_written_a_few_at_a_time() -> None:
    sizes: list[int] = []
    grid = Mock()
    grid.patch_rows = lambda rows: sizes.append(len([*rows]))
    found = [Found(f"1.2.{number}", match(number).attributes, {"pacs": 1}) for number in range(STUDIES)]
    turns = asyncio.run(turns_during(loader(grid).show(found)))
    assert sum(sizes) == STUDIES
    assert max(sizes) <= AT_ONCE <= 1000
    assert turns >= len(sizes) - 1


def test_many_rows_are_set_some_at_a_time_while_they_are_wanted() -> None:
    sizes: list[int] = []
    grid = chunked(sizes)
    rows = [widgets.Row(str(number), {}) for number in range(STUDIES)]
    turns = asyncio.run(turns_during(grid.set_many_rows(iter(rows), lambda: True)))
    assert sum(sizes) == STUDIES
    assert max(sizes) <= 1000
    assert turns >= len(sizes) - 1
    sizes.clear()
    asyncio.run(grid.set_many_rows(iter(rows), lambda: len(sizes) < 3))
    assert len(sizes) == 3
    sizes.clear()
    asyncio.run(grid.set_many_rows(iter(()), lambda: True))
    assert sizes == [0]


def test_rows_of_an_earlier_search_end_with_it() -> None:
    shown: list[str] = []
    grid = Mock()
    grid.patch_rows = lambda rows: shown.extend(row.key for row in rows)

    async def search_again() -> None:
        one = loader(grid)
        found = [Found(f"1.2.{number}", match(number).attributes, {"pacs": 1}) for number in range(STUDIES)]
        writing = asyncio.create_task(one.show(found))
        await asyncio.sleep(0)
        one.begin(Mock())
        await writing

    asyncio.run(search_again())
    assert 0 < len(shown) < STUDIES


@pytest.mark.slow
def test_what_was_found_is_made_when_it_is_asked_for(monkeypatch: Any) -> None:
    finder = Mock()
    listing = Listing(finder, {}, ["local"])
    join = Join(Query("studies", {}))
    join.add("local", [match(number) for number in range(1, STUDIES)])
    monkeypatch.setattr(listing, "_join", join)
    made: list[str] = []
    of = Found.of
    monkeypatch.setattr(Found, "of", lambda one: made.append(one.resource.study) or of(one))
    assert len(listing.found) == STUDIES - 1
    assert listing.found["1.2.7"].uid == "1.2.7"
    assert "1.2.8" in listing.found
    assert "1.3" not in listing.found
    assert "" not in listing.found
    assert listing.found.get("no UID") is None
    assert made == ["1.2.7", "1.2.8"]
    assert [*listing.found][:2] == ["1.2.1", "1.2.2"]


async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


def bare(kind: type[T], **state: Any) -> T:
    """An object of a page, without the page around it."""
    one = kind.__new__(kind)
    one.__dict__.update({f"_{name}": Mock() for name in PARTS}, _run=at_once)
    one.__dict__.update(state)
    return one


def dropped(number: int) -> InspectedFile:
    about = dict.fromkeys(
        ("PatientName", "PatientID", "StudyDate", "StudyDescription", "SeriesNumber", "Modality"), ""
    )
    about["SeriesDescription"] = "one of very many"
    return InspectedFile(f"{number}", Path("gone"), 1, Resource("1.2", f"1.2.{number}", "1.3"), about)


def test_what_became_of_many_files_is_written_a_few_at_a_time() -> None:
    sizes: list[int] = []
    outcomes = [Outcome(f"{number}", None, True, "stored") for number in range(STUDIES)]
    batch = Batch("key", Path("gone"), stage="stored", outcomes=outcomes)
    page = bare(Results, _batch=batch, _grid=chunked(sizes), _loads=0)
    turns = asyncio.run(turns_during(page.load()))
    assert sum(sizes) == STUDIES
    assert max(sizes) <= 1000
    assert turns >= len(sizes) - 1


def test_the_newest_state_of_many_files_ends_what_is_written_of_an_older_one() -> None:
    sizes: list[int] = []
    outcomes = [Outcome(f"{number}", None, True, "stored") for number in range(STUDIES)]
    batch = Batch("key", Path("gone"), stage="stored", outcomes=outcomes)
    page = bare(Results, _batch=batch, _grid=chunked(sizes), _loads=0)

    async def twice() -> None:
        older = asyncio.create_task(page.load())
        await asyncio.sleep(0)
        await page.load()
        await older

    asyncio.run(twice())
    assert STUDIES <= sum(sizes) < 1.5 * STUDIES


@pytest.mark.slow
def test_many_files_that_were_dropped_are_written_a_few_at_a_time(monkeypatch: Any) -> None:
    sizes: list[int] = []
    files = [dropped(number) for number in range(STUDIES)]
    groups = [SeriesGroup(Resource("1.2", f"1.2.{one.name}"), [one]) for one in files]
    broken = [InspectedFile(f"x{number}", Path("gone"), 1, reason="no") for number in range(STUDIES)]
    monkeypatch.setattr(upload_batch, "group_series", lambda *_: (groups, broken))
    monkeypatch.setattr(upload_batch.widgets, "choice", lambda *_, **__: Mock(value="", is_deleted=False))
    batch = Batch("key", Path("gone"), files=files)
    page = bare(
        Preview,
        _batch=batch,
        _grid=chunked(sizes),
        _files=chunked(sizes),
        _place=MagicMock(),
        _sources=Mock(names=lambda: ["local"]),
        _chosen=set(),
        _there={},
    )
    turns = asyncio.run(turns_during(page.load()))
    assert sum(sizes) == 2 * STUDIES
    assert max(sizes) <= 1000
    assert turns >= len(sizes) - 2


def test_many_failures_of_a_transfer_are_written_a_few_at_a_time(monkeypatch: Any) -> None:
    sizes: list[int] = []
    failed = [Item(f"1.2/1.3/{number}", "failed", "no") for number in range(STUDIES)]
    service = Mock()
    service.queue.items = lambda *_: failed
    page = bare(TransfersPage, _service=service, _failures=chunked(sizes), _names={}, _shows=0)
    monkeypatch.setattr(transfers, "title", lambda *_: "one")
    monkeypatch.setattr(transfers, "words", lambda *_: "failed")
    asyncio.run(turns_during(page._show(Mock())))
    assert sum(sizes) == STUDIES
    assert max(sizes) <= 1000
