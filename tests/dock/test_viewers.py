"""Viewers as the dock starts them: who may talk to them, what they tell, and what happens when they fall."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from dicomdock.dicom.resource import Resource
from dicomdock.dock.services import viewers as module
from dicomdock.dock.services.viewers import ViewerError, Viewers
from dicomdock.errors import MissingDependency
from tests.conftest import unavailable
from tests.machines import without_gl
from tests.viewer.conftest import folders, gl, made_study, store, template
from tests.waiting import until

pytestmark = [pytest.mark.viewer, pytest.mark.slow]


@pytest.fixture(scope="module")
def installed() -> None:
    """Skip where the viewer is not installed."""
    if importlib.util.find_spec("trame_slicer") is None:
        unavailable("The viewer", "pip install 'dicomdock[viewer]'")


@contextmanager
def showing(folder: Path) -> Iterator[tuple[Viewers, str, str]]:
    settings = folders(folder)
    study, _, instances = made_study()
    store(settings, instances)
    viewers = Viewers(settings, spare=False, template=template(), gl=gl())
    try:
        yield viewers, viewers.open(Resource(study)), study
    finally:
        viewers.close()


@pytest.fixture(scope="module")
def running(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Viewers, str, str]]:
    """A viewer that shows a study, its address and the study; no test ends it or uses its token."""
    with showing(tmp_path_factory.mktemp("viewers")) as found:
        yield found


@pytest.fixture
def own(installed: None, tmp_path: Path) -> Iterator[tuple[Viewers, str, str]]:
    """The same, for one test."""
    with showing(tmp_path / "own") as found:
        yield found


def ask(url: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask a viewer, with any headers."""
    host = urlsplit(url).netloc
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in {
            "Host": host,
            **{key.replace("_", "-"): value for key, value in headers.items()},
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_secret_opens_the_page_and_becomes_a_cookie(running: tuple[Viewers, str, str]) -> None:
    _, url, _ = running
    status, headers, _ = ask(url, "/?" + urlsplit(url).query)
    assert status in (200, 302)
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    status, headers, body = ask(url, "/index.html?" + urlsplit(url).query, Cookie=cookie.split(";")[0])
    assert status == 200
    assert b"<html" in body
    assert b"<title>dicomdock</title>" in body and b"maximum-scale" not in body
    assert "default-src 'self'" in headers["content-security-policy"]


def test_the_address_that_a_browser_is_started_with_works_once(own: tuple[Viewers, str, str]) -> None:
    viewers, url, study = own
    viewer = viewers.get(study)
    assert viewer is not None
    door = viewer.one_time_url
    assert urlsplit(url).query.removeprefix("secret=") not in door
    path = "/?" + urlsplit(door).query
    assert ask(door, path, Sec_Fetch_Site="cross-site")[0] == 403
    status, headers, body = ask(door, path)
    assert b"<title>dicomdock</title>" in body  # else its address would be the title
    assert (status, headers["refresh"]) == (200, "0; url=/index.html?" + urlsplit(url).query)
    assert ask(door, path)[0] == 403


def test_a_browser_gets_there_from_a_private_file(
    own: tuple[Viewers, str, str], tmp_path: Path, browser: Browser
) -> None:
    viewers, _, study = own
    viewer = viewers.get(study)
    assert viewer is not None
    file = tmp_path / "open.html"
    file.write_text(f"<script>location.replace({json.dumps(viewer.one_time_url)})</script>")
    page = browser.new_page()
    try:
        page.goto(file.as_uri())
        page.locator('[data-testid="tool-series"]').wait_for()
    finally:
        page.close()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/?once=", {}),
        ("/index.html", {}),
        ("/index.html?secret=wslink-secret", {}),
        ("/ws", {}),
        ("/__dicomdock/viewer.js", {}),
        ("/?SECRET", {"Host": "evil.example"}),
        ("/?SECRET", {"Origin": "https://evil.example"}),
        ("/?SECRET", {"Sec_Fetch_Site": "cross-site", "Origin": "null"}),
    ],
)
def test_all_others_are_refused(
    running: tuple[Viewers, str, str], path: str, headers: dict[str, str]
) -> None:
    _, url, _ = running
    status, _, _ = ask(url, path.replace("SECRET", urlsplit(url).query), **headers)
    assert status == 403


def upgrade(url: str, **headers: str) -> int:
    """Try to open the WebSocket."""
    return ask(
        url,
        "/ws",
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    )[0]


def test_a_socket_needs_the_cookie_and_the_viewers_own_origin(running: tuple[Viewers, str, str]) -> None:
    _, url, _ = running
    host = urlsplit(url).netloc
    _, headers, _ = ask(url, "/?" + urlsplit(url).query)
    cookie = headers["set-cookie"].split(";")[0]
    assert upgrade(url, Origin=f"http://{host}") == 403
    assert upgrade(url, Cookie=cookie) == 403
    assert upgrade(url, Cookie=cookie, Origin="https://evil.example") == 403
    assert upgrade(url, Cookie=cookie, Origin=f"http://{host}") == 101


def test_no_process_list_and_no_log_shows_the_secret(
    running: tuple[Viewers, str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    viewers, url, study = running
    secret = urlsplit(url).query.removeprefix("secret=")
    viewer = viewers.get(study)
    assert viewer is not None
    proc = Path(f"/proc/{viewer.pid}")
    assert secret.encode() not in (proc / "cmdline").read_bytes()
    assert secret.encode() not in (proc / "environ").read_bytes()
    log = next(tmp_path_factory.getbasetemp().glob("viewers*/**/viewer.log"))
    assert secret not in log.read_text(errors="replace")
    assert secret not in repr(viewer)


def test_it_listens_on_loopback_alone(running: tuple[Viewers, str, str]) -> None:
    _, url, _ = running
    port = f"{urlsplit(url).port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(":" + port)]
    assert local == [f"0100007F:{port}"]


def test_the_same_study_is_opened_in_the_same_viewer(running: tuple[Viewers, str, str]) -> None:
    viewers, url, study = running
    assert viewers.open(Resource(study)) == url


def test_a_viewer_that_falls_is_started_again_under_its_address(own: tuple[Viewers, str, str]) -> None:
    viewers, url, study = own
    viewer = viewers.get(study)
    assert viewer is not None
    before = viewer.pid
    os.kill(before, signal.SIGKILL)
    until(lambda: viewer.pid != before, "the restart")
    assert viewers.open(Resource(study)) == url
    assert ask(url, "/?" + urlsplit(url).query)[0] in (200, 302)


def test_a_viewer_that_nobody_looks_at_ends_and_its_study_opens_again(
    installed: None, tmp_path: Path
) -> None:
    settings = replace(folders(tmp_path / "home"), viewer_patience=0.2)
    study, _, instances = made_study()
    store(settings, instances)
    viewers = Viewers(settings, spare=False, template=template(), gl=gl())
    try:
        viewers.open(Resource(study))
        viewer = viewers.get(study)
        assert viewer is not None
        viewer.wait()
        assert viewers.get(study) is None
        assert viewers.open(Resource(study)) != viewer.url
    finally:
        viewers.close()


def test_without_the_extra_the_remedy_is_reported(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"dicomdock\[viewer\]"):
        Viewers(settings).open(Resource("1.2.3"))


def test_without_gl_it_degrades_in_words(settings, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in without_gl(tmp_path / "gl").items():
        monkeypatch.setenv(name, value)
    viewers = Viewers(settings, spare=False)
    with pytest.raises(ViewerError, match="no OpenGL library"):
        viewers.open(Resource("1.2.3"))
    viewers.close()
