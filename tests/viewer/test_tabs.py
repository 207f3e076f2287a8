"""What the viewer knows of its page."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dicomdock import rpc

pytest.importorskip("aiohttp")
from dicomdock.viewer.shell.tabs import Tabs


@pytest.mark.parametrize("first", ["page", "images"])
def test_the_dock_hears_that_all_is_loaded_once_the_page_shows_it(first: str) -> None:
    triggers = {}

    def trigger(name: str):
        return lambda called: triggers.setdefault(name, called)

    bind = SimpleNamespace(add=lambda _: None)
    server = SimpleNamespace(
        controller=SimpleNamespace(trigger=trigger, on_server_bind=bind), js_call=lambda *_: None
    )
    sent: list[rpc.Event] = []
    tabs = Tabs(server, sent.append)
    tabs.report(rpc.SeriesShown("1.2.3"))
    assert sent == [rpc.SeriesShown("1.2.3")]

    def loaded() -> None:
        tabs.report(rpc.Settled())

    def built() -> None:
        triggers["here"]("a tab")

    both = [built, loaded] if first == "page" else [loaded, built]
    both[0]()
    assert len(sent) == 1
    both[1]()
    assert sent[1:] == [rpc.Settled()]
    loaded()  # another series
    assert sent[1:] == [rpc.Settled()] * 2
