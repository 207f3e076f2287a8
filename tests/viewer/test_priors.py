"""Prior studies on a server, and studies that are opened as the user wants them, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from dicomdock.config.hanging import Rule, Rules
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile, load_profiles
from dicomdock.dicom.resource import Resource
from tests.servers.orthanc import Orthanc
from tests.viewer.conftest import SHAPE, folders, looked_at, made_study, store, viewing

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.servers]


def test_a_prior_study_comes_from_a_server_and_is_opened_beside_from_then_on(
    viewer_installed: None, browser: Browser, orthanc: Orthanc, tmp_path: Path
) -> None:
    settings = folders(tmp_path)
    profile = ServerProfile("hospital", orthanc.url, Login("basic", user=orthanc.user))
    load_profiles(settings).with_profile(profile).save(settings)
    Secrets(settings).set("hospital", load_profiles(settings).get("hospital").origin, orthanc.password)
    study, series, instances = made_study()
    prior, before, older = made_study(StudyDate="20200131", StudyDescription="Earlier")
    store(settings, instances)
    orthanc.add(*(one.data for one in older))
    with viewing(settings, Resource(study), series) as opened:
        for screen in looked_at(browser, opened.url):
            screen.tool("series")
            screen.button("find-priors").click()
            expect(screen.button(f"far-{prior}")).to_contain_text("2020-01-31 Earlier")
            screen.button(f"far-{prior}").click()
            screen.wait("s.priors.length === 1 && !s.far_priors.length && s.prior_series.length === 1")
            screen.page.locator(".within .item").click()
            screen.wait(f"s.layout === 'Compare' && s.Other_count === {SHAPE[0]}")
            screen.tool("layout")
            screen.page.get_by_label("Same window").check()
            screen.button("hang-any").click()
            screen.note("From now on: CT: Compare, Ramp beside Ramp of the study before")
            # At twice the size, or on a small screen, the panel lies below the views.
            screen.page.set_viewport_size({"width": 640, "height": 800})
            panel, view = screen.page.locator(".panel").bounding_box(), screen.box()
            assert panel is not None
            assert view["y"] + view["height"] <= panel["y"]
            assert view["width"] > 250
    assert Rules(settings).read() == (Rule("CT", 0, "Compare", "Ramp", "Ramp", prior=True, windowed=True),)
    with viewing(settings, Resource(study), series) as again:
        for screen in looked_at(browser, again.url):
            screen.wait(f"s.layout === 'Compare' && s.compare_uid === '{before}' && s.windowed")
            assert "2020-01-31" in screen.words("tr", "Other")
            screen.tool("layout")
            screen.button("forget-rule-0").click()
            screen.wait("!s.rules.length")
    assert Rules(settings).read() == ()
