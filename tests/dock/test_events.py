"""Events and preferences: what changed, and what is remembered."""

from __future__ import annotations

import asyncio
import threading

from dicomdock.config.preferences import Preferences
from dicomdock.config.settings import Settings
from dicomdock.dock.services.events import ArchiveChanged, Events, TransferChanged


def test_equal_events_within_a_moment_become_one():
    async def walk() -> list[object]:
        events = Events()
        told: list[object] = []
        done = asyncio.Event()

        def hear(event: ArchiveChanged) -> None:
            told.append(event)
            if event.study == "last":
                done.set()

        events.subscribe(ArchiveChanged, hear)
        events.publish(ArchiveChanged("early"))
        events.attach(asyncio.get_running_loop())

        def work() -> None:
            for _ in range(1000):
                events.publish(ArchiveChanged("1.2"))
                events.publish(TransferChanged(1))
            events.publish(ArchiveChanged("last"))

        thread = threading.Thread(target=work)
        thread.start()
        await asyncio.wait_for(done.wait(), 60)
        await asyncio.to_thread(thread.join)
        events.detach()
        events.publish(ArchiveChanged("too late"))
        return told

    told = asyncio.run(walk())
    assert told[0] == ArchiveChanged("early")
    assert told[-1] == ArchiveChanged("last")
    assert 1 <= told.count(ArchiveChanged("1.2")) < 20


def test_preferences_are_kept(settings: Settings):
    Preferences(settings).set("theme", "dark")
    assert Preferences(settings).get("theme") == "dark"
    Preferences(settings).set("theme", None)
    assert Preferences(settings).get("theme", "auto") == "auto"


def test_broken_preferences_are_forgotten(settings: Settings):
    settings.state.mkdir(parents=True)
    for text in ("{", "[1]", "\xff"):
        (settings.state / "preferences.json").write_text(text, "latin-1")
        preferences = Preferences(settings)
        assert preferences.get("theme") is None
        preferences.set("theme", "dark")
        assert Preferences(settings).get("theme") == "dark"
