"""A real dock and a real browser: no turn of the dock's loop takes 0.1 s while pages open and send."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dicomdock.archive import Archive
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.dock.addresses import study_address
from dicomdock.dock.services.viewer_template import can_fork
from dicomdock.transfer.queue import TransferQueue
from tests.attacks.test_event_loop import HELD
from tests.builders import changed, ct_series, write
from tests.dock.heartbeat import FILE, longest
from tests.dock.running import running
from tests.dock.using import keep, open_at
from tests.machine import slowness
from tests.origin.running import serving
from tests.waiting import until

SERIES = 200


@pytest.mark.slow
@pytest.mark.skipif(not can_fork(), reason="the dock of the tests is forked")
def test_no_turn_of_the_dock_is_long(home: Path, page: Page, tmp_path: Path) -> None:
    """A study of many series is opened and sent to a server; files are dropped and stored."""
    turns, image = tmp_path / "turns", ct_series(1)[0]
    turns.touch()
    many = [
        changed(image, SeriesInstanceUID=f"2.25.{number + 1}", SOPInstanceUID=f"2.25.{number + 1}.1")
        for number in range(SERIES)
    ]
    write(tmp_path / "dropped", ct_series(100))
    with running(home / "dicomdock", env={FILE: str(turns)}) as dock:
        elsewhere = replace(dock.settings, archive=tmp_path / "elsewhere")
        with Archive.open(elsewhere) as archive, serving(archive) as server:
            load_profiles(dock.settings).with_profile(ServerProfile("pacs", server.url)).save(dock.settings)
            keep(dock.settings, tmp_path / "kept", many, origin="")
            open_at(page, dock)
            os.truncate(turns, 0)  # the first page imports what pages need
            page.goto(f"{dock.url}{study_address(image.study)}")
            expect(page.get_by_test_id("status")).to_contain_text(f"{SERIES} images")
            page.get_by_text("Send to…").click()
            page.get_by_test_id("send-to-pacs").click()
            queue = TransferQueue(dock.settings)
            until(lambda: [one.state for one in queue.latest()] == ["done"], "the upload")
            page.goto(f"{dock.url}/upload")
            page.get_by_test_id("input-folder").set_input_files(tmp_path / "dropped")
            page.get_by_test_id("keep-batch").click()
            expect(page.get_by_test_id("batch-words")).to_contain_text("100")
    seconds, what = longest(turns)
    assert 0 < seconds < HELD * slowness(), f"{seconds:.3f} s: {what}"
