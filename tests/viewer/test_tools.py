"""Tools that segment, from the panel: run, watched, stopped, and their drafts accepted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from dicomdock import Archive, Settings
from dicomdock.config.tools import ToolFolder
from dicomdock.config.trust import TrustStore
from dicomdock.dicom.resource import Resource
from tests.api.test_tools import LABELS, SCRIPT, gone
from tests.servers.canned import answering
from tests.servers.imitations.monai_label import MonaiLabel
from tests.viewer.conftest import SHAPE, Opened, Screen, folders, made_study, phantom, store, viewing
from tests.viewer.editing import until_coloured

pytestmark = [pytest.mark.viewer, pytest.mark.slow]


def declare(settings: Settings, name: str, mode: str, pids: Path) -> None:
    command = json.dumps(["env", f"PIDS={pids}", sys.executable, str(SCRIPT), mode, "{input}", "{output}"])
    ToolFolder(settings).add(f'name = "{name}"\ncommand = {command}\n{LABELS}'.encode(), name)


@pytest.fixture(scope="module")
def opened(viewer_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The phantom."""
    settings = folders(tmp_path_factory.mktemp("tools"))
    study, series, instances = made_study()
    store(settings, instances)
    with viewing(settings, Resource(study, series)) as found:
        yield found


def test_tools_run_on_the_shown_series(opened: Opened, screen: Screen, tmp_path: Path) -> None:
    settings = opened.settings.change(person="Doe^Jane")
    for name, mode in (("1-works", "works"), ("2-fails", "fails"), ("3-hangs", "hangs")):
        declare(settings, name, mode, tmp_path / "pids")
    far = f'name = "4-far"\nendpoint = "https://gpu.invalid/segment"\n{LABELS}'
    ToolFolder(settings).add(far.encode(), "4-far")

    screen.tool("segment")
    screen.wait("s.tool_names.length === 4 && s.tool_chosen === '1-works'")
    screen.button("run-tool").click()
    screen.note("1-works is done; its segmentation is a draft until you accept it.")
    screen.wait("s.drawing_uid && s.draft && !s.unsaved && !s.busy")
    assert screen.state("drawing_name").endswith("(draft)")
    until_coloured(screen, more=0.01)
    expect(screen.button("draft")).to_be_visible()
    screen.button("accept-draft").click()
    screen.note("Accepted by Doe^Jane.")
    screen.wait("s.drawing_uid && !s.draft")
    expect(screen.button("draft")).to_be_hidden()
    with Archive.open(settings) as archive:
        found = archive.segmentation(Resource(opened.study, screen.state("drawing_uid")))
    values = phantom()
    expected = (values > np.quantile(values, 0.5)).astype(np.uint8) + (values > np.quantile(values, 0.9))
    np.testing.assert_array_equal(found.to_array(), expected)
    assert [one.algorithm for one in found.segments] == ["AUTOMATIC", "AUTOMATIC"]
    before = set(opened.made_here())

    screen.button("segmenting-tool").select_option("2-fails")
    screen.button("run-tool").click()
    screen.note("failed (exit code 3)")
    screen.button("segmenting-tool").select_option("3-hangs")
    screen.button("run-tool").click()
    screen.wait("s.tool_line === '3-hangs: child'")
    screen.button("stop-tool").click()
    screen.note("The tool 3-hangs was cancelled; nothing was stored.")
    assert all(map(gone, map(int, (tmp_path / "pids").read_text().split())))
    screen.button("segmenting-tool").select_option("4-far")
    screen.button("run-tool").click()
    expect(screen.button("tool-question")).to_contain_text(
        "sends the images, without names, of this series to https://gpu.invalid"
    )
    screen.button("tool-refuse").click()
    expect(screen.button("tool-question")).to_have_count(0)
    assert not TrustStore.for_pixels(settings).origins()
    assert set(opened.made_here()) == before


def test_measured_points_are_given_to_an_interactive_model(opened: Opened, screen: Screen) -> None:
    with answering(server := MonaiLabel()) as far:
        declared = f'name = "edit"\nmonai_label = "{far.url}"\nmodel = "edit"\npoints = "labels"\n'
        labels = '[labels]\n1 = "liver"\n2 = "left kidney"\n'
        ToolFolder(opened.settings).add((declared + labels).encode(), "edit")
        screen.tool("measure")
        screen.button("point").click()
        screen.page.mouse.click(*screen.middle())
        screen.wait("s.measurements.length === 1 && !s.measuring")
        screen.drawn()
        before = screen.pixels()
        screen.button("name-0").fill("liver")
        screen.button("name-0").press("Tab")
        screen.until(lambda: screen.changed(before))  # its name stands beside it
        screen.tool("segment")
        screen.wait("s.tool_names.includes('edit')")
        screen.button("segmenting-tool").select_option("edit")
        expect(screen.button("tool-hint")).to_contain_text("name them liver, left kidney, background")
        screen.button("run-tool").click()
        screen.note("edit is done; its segmentation is a draft")
        screen.wait("s.drawing_uid && s.draft && !s.busy")
    (voxel,) = server.params["liver"]
    k, j, i = (side // 2 for side in SHAPE)
    assert max(abs(a - b) for a, b in zip(voxel, (i, j, k), strict=True)) <= 1  # the middle of the view
    assert server.params["left kidney"] == server.params["background"] == []
    with Archive.open(opened.settings) as archive:
        found = archive.segmentation(Resource(opened.study, screen.state("drawing_uid")))
    assert [(one.label, one.mask.count) for one in found.segments] == [("liver", 1)]
