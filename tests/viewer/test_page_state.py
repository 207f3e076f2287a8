"""The typed state of the page, on trame's own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

pytest.importorskip("trame_server")

from trame_server.state import State

from dicomdock.viewer.page_state import PageState, names_of


@dataclass(frozen=True)
class Row:
    uid: str
    words: list[str]


@dataclass
class Example:
    width: float = 1.5
    rows: list[Row] = field(default_factory=list)
    typed: float | str = 0.0
    on: bool = False


@pytest.fixture
def state() -> State:
    made = State()
    made.ready()
    return made


def test_the_page_reads_plain_names(state: State) -> None:
    page = PageState(state, Example)
    assert (state["width"], state["rows"], state["on"]) == (1.5, [], False)
    page.data.rows = [Row("1.2", ["a", "b"])]
    row = state["rows"][0]
    assert (row["uid"], row["words"]) == ("1.2", ["a", "b"])
    assert page.data.rows == [Row("1.2", ["a", "b"])]
    assert page.name.rows == names_of(Example).rows == "rows"


def test_views_have_states_of_their_own(state: State) -> None:
    red, green = PageState(state, Example, "Red"), PageState(state, Example, "Green")
    red.data.width = 3.0
    assert (state["Red_width"], state["Green_width"], green.data.width) == (3.0, 1.5, 1.5)
    assert names_of(Example, "Red").width == red.name.width == "Red_width"


def test_what_a_page_types_has_the_type_of_its_field(state: State) -> None:
    page = PageState(state, Example)
    state["width"], state["typed"] = 2, ""
    assert page.data.width == 2.0 and isinstance(page.data.width, float)
    assert page.data.typed == ""
    state["typed"] = 2
    assert page.data.typed == 2.0


def test_changes_are_called_with_values(state: State) -> None:
    seen: list[object] = []

    async def run() -> None:
        page = PageState(state, Example, "Red")
        page.bind_changes(
            {
                page.name.width: lambda width: seen.append(width),
                (page.name.on, page.name.width): lambda on, width: seen.append((on, width)),
            }
        )
        with page as data:
            data.on, data.width = True, 4.0
        await asyncio.sleep(0)

    asyncio.run(run())
    assert 4.0 in seen and (True, 4.0) in seen
