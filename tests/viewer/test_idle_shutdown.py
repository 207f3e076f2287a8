"""When a viewer ends that nobody looks at: after which page said or did what, and how long that was ago."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("wslink")
from dicomdock.rpc import PageState
from dicomdock.viewer import idle_shutdown as module
from dicomdock.viewer.idle_shutdown import LOADING_SECONDS, RETRY_SECONDS, IdleShutdown

PATIENCE, RETURN = 1800.0, 5.0


class Viewer:
    """A viewer without a process, on a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.timers = 0.0, list[SimpleNamespace]()
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(get_running_loop=lambda: self))
        self.busy, self.ended, self.said = False, False, list[PageState]()
        links = list[Any]()
        server = SimpleNamespace(
            controller=SimpleNamespace(on_server_bind=SimpleNamespace(add=lambda _: None)),
            add_protocol_to_configure=lambda add: add(SimpleNamespace(registerLinkProtocol=links.append)),
        )
        self.idle = IdleShutdown(server, PATIENCE, lambda: self.busy, self.end, self.said.append)
        (self.connections,) = links

    def end(self) -> None:
        self.ended = True

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> SimpleNamespace:
        timer = SimpleNamespace(due=self.now + seconds, call=call, cancel=lambda: self.timers.remove(timer))
        self.timers.append(timer)
        return timer

    def after(self, seconds: float) -> bool:
        """Return whether it has ended after so many seconds more."""
        self.now += seconds
        while due := [one for one in self.timers if one.due <= self.now]:
            self.timers.remove(due[0])
            due[0].call()
        return self.ended

    def page(self, *events: str) -> None:
        for event in events:
            match event:
                case "visit":
                    self.idle._expect_page()
                case "close":
                    self.idle._page_closed()
                case "hide":
                    self.idle._set_hidden(True)
                case "show":
                    self.idle._set_hidden(False)
                case "order":
                    self.idle.close_when_unused(RETURN)
                case "came":
                    self.connections.onConnect(None, "one")
                case "went":
                    self.connections.onClose("one")
                case _:
                    raise ValueError(event)


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch) -> Viewer:
    """One whose page has shown a study for an hour."""
    made = Viewer(monkeypatch)
    made.idle.opened()
    made.page("visit", "came")
    assert not made.after(3600)
    return made


@pytest.mark.parametrize(
    "events",
    [
        ("close", "order", "went"),
        ("close", "went", "order"),
        ("went", "close", "order"),
        ("hide", "close", "order", "went"),
        ("close", "hide", "order", "went"),
    ],
)
def test_a_page_that_closed_ends_it_within_seconds(viewer: Viewer, events: tuple[str, ...]) -> None:
    viewer.page(*events)
    assert "closed" in viewer.said
    assert not viewer.after(RETURN - 0.1)
    assert viewer.after(0.2)


@pytest.mark.parametrize(
    "events",
    [
        ("close", "order", "went", "visit", "came"),
        ("close", "went", "visit", "order", "came"),
        ("close", "visit", "order", "went", "came"),
        ("close", "visit", "came", "order", "went"),
        ("went", "visit", "came"),  # without a word
        ("hide", "order", "show"),
        ("visit", "came", "close", "went"),  # the same study in another tab
    ],
)
def test_a_page_that_comes_back_has_it(viewer: Viewer, events: tuple[str, ...]) -> None:
    viewer.page(*events)
    assert not viewer.after(10 * PATIENCE)


def test_a_reload_has_a_minute_whatever_was_said_before(viewer: Viewer) -> None:
    viewer.page("close", "went", "visit", "order")
    assert not viewer.after(LOADING_SECONDS - 1)
    viewer.page("came")
    assert not viewer.after(10 * PATIENCE)


def test_a_connection_that_broke_waits_unless_memory_is_needed(viewer: Viewer) -> None:
    viewer.page("went")
    assert not viewer.after(PATIENCE - 1)
    viewer.page("order")
    assert viewer.after(RETURN)


def test_a_page_in_sight_keeps_it_a_hidden_one_does_not(viewer: Viewer) -> None:
    viewer.page("order")
    assert not viewer.after(10 * PATIENCE)
    viewer.page("hide")
    assert not viewer.after(10 * PATIENCE)
    viewer.page("order")
    assert viewer.after(RETURN)


def test_a_tab_that_is_left_while_its_page_connects_is_hidden(viewer: Viewer) -> None:
    viewer.page("went", "visit", "hide", "came", "order")
    assert viewer.said[-1] == "hidden"
    assert viewer.after(LOADING_SECONDS)


def test_what_must_not_be_interrupted_ends_first(viewer: Viewer) -> None:
    viewer.busy = True
    viewer.page("close", "went", "order")
    assert not viewer.after(RETURN)
    for _ in range(3):
        assert not viewer.after(RETRY_SECONDS)
    viewer.busy = False
    assert viewer.after(RETRY_SECONDS)


def test_a_spare_one_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    spare = Viewer(monkeypatch)
    spare.page("order")
    assert not spare.after(10 * PATIENCE)
