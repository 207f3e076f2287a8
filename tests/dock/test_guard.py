"""The guard, attacked as a hostile page or program on the same machine would."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from dicomdock.dicom.resource import Resource
from dicomdock.dock.security.requests import Guard
from dicomdock.dock.security.sessions import GRANT_SECONDS, ONE_TIME_SECONDS, Keys
from tests import chromium
from tests.dock.running import RunningDock
from tests.dock.using import forget_key

STUDY = "1.2.3"


class Clock:
    """A clock that goes when it is told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


# ---- tokens and sessions


def test_a_one_time_token_begins_one_session():
    keys = Keys()
    token = keys.one_time_token()
    session = keys.redeem(token)
    assert session and keys.holds_session(session)
    assert keys.redeem(token) is None
    assert not keys.holds_session(token)


def test_a_one_time_token_ends_after_an_hour():
    clock = Clock()
    keys = Keys(clock)
    token = keys.one_time_token()
    clock.now += ONE_TIME_SECONDS
    assert keys.redeem(token) is None


def test_sessions_are_bounded_and_the_idle_one_goes():
    clock = Clock()
    keys = Keys(clock)
    sessions = []
    for _ in range(65):
        clock.now += 1
        session = keys.redeem(keys.one_time_token())
        assert session is not None
        sessions.append(session)
    assert not keys.holds_session(sessions[0])
    assert all(keys.holds_session(session) for session in sessions[1:])


def test_a_grant_ends_and_can_be_revoked():
    clock = Clock()
    keys = Keys(clock)
    token, other = keys.grant(Resource(STUDY)), keys.grant(Resource(STUDY))
    keys.revoke(other)
    assert keys.granted(token) is not None
    assert keys.granted(other) is None
    clock.now += GRANT_SECONDS
    assert keys.granted(token) is None


def test_no_key_shows_in_a_repr():
    keys = Keys()
    tokens = [keys.one_time_token(), keys.redeem(keys.one_time_token()), keys.grant(None)]
    assert not any(token in repr(keys) for token in tokens if token)


# ---- what a bearer token opens, without a network


async def _status(keys: Keys, method: str, path: str, headers: Mapping[str, str]) -> int:
    reached: list[int] = []

    async def app(_scope, _receive, send):
        reached.append(200)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent: list[dict] = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [
            (k.lower().encode(), v.encode()) for k, v in {"Host": "127.0.0.1:2042", **headers}.items()
        ],
    }
    await Guard(app, keys, 2042)(scope, receive, send)
    status = sent[0]["status"]
    assert (status == 200) == bool(reached)
    return status


def status(keys: Keys, method: str, path: str, headers: Mapping[str, str]) -> int:
    import asyncio

    return asyncio.run(_status(keys, method, path, headers))


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/dicom-web/studies", 200), ("/", 401), ("/servers", 401), ("/dicom-webstudies", 401)],
)
def test_a_study_token_opens_the_service_which_holds_the_rest_back(path: str, expected: int):
    """What of the service it opens is decided by the origin server: ``tests/attacks/test_grants.py``."""
    keys = Keys()
    bearer = {"Authorization": f"Bearer {keys.grant(Resource(STUDY))}"}
    assert status(keys, "GET", path, bearer) == expected


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_a_study_token_only_reads(method: str):
    keys = Keys()
    bearer = {"Authorization": f"Bearer {keys.grant(Resource(STUDY))}"}
    assert status(keys, method, f"/dicom-web/studies/{STUDY}", bearer) == 403


def test_a_token_for_one_service_does_not_open_another():
    keys = Keys()
    bearer = {"Authorization": f"Bearer {keys.grant(None, root='/demo/dicom-web')}"}
    assert status(keys, "POST", "/demo/dicom-web/studies", bearer) == 200
    assert status(keys, "GET", "/dicom-web/studies", bearer) == 403


def test_a_token_is_not_taken_from_another_sites_page():
    keys = Keys()
    bearer = {"Authorization": f"Bearer {keys.grant(None)}", "Origin": "https://evil.test"}
    assert status(keys, "GET", "/dicom-web/studies", bearer) == 403


# ---- a running dock, from other programs


def ask(
    dock: RunningDock,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", dock.port, timeout=60)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def session(dock: RunningDock) -> str:
    """Begin a session as the entry page does; give the Cookie header."""
    token = dock.link().partition("#")[2]
    body = json.dumps({"token": token}).encode()
    answered, headers, _ = ask(
        dock, "POST", "/session", {"Content-Type": "application/json", "Origin": dock.url}, body
    )
    assert answered == 200
    return headers["Set-Cookie"].partition(";")[0]


def handshake(dock: RunningDock, headers: Mapping[str, str]) -> int:
    """Try to open NiceGUI's WebSocket; give the status of the answer."""
    lines = [
        "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    with socket.create_connection(("127.0.0.1", dock.port), timeout=60) as wire:
        wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(wire.recv(4096).split(b" ", 2)[1])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDock]:
    from tests.dock.running import running

    with running(tmp_path_factory.mktemp("guarded") / "home") as started:
        yield started


def test_nothing_without_a_session(guarded: RunningDock):
    for path in (
        "/",
        "/servers",
        "/study/1.2.3",
        "/_nicegui_ws/socket.io/?EIO=4&transport=polling",
        "/assets/x/theme.css",
    ):
        assert ask(guarded, "GET", path)[0] == 401
    answered, headers, _ = ask(guarded, "GET", "/dicom-web/studies")
    assert answered == 401
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert ask(guarded, "POST", "/session", {"Origin": guarded.url}, b'{"token": "guess"}')[0] == 403
    assert ask(guarded, "POST", "/session", {"Origin": guarded.url}, b"x" * 5000)[0] == 403
    assert ask(guarded, "PUT", "/session")[0] == 405


@pytest.mark.parametrize(
    "body",
    [
        b'{"browser": "1.x", "challenge": "x", "signature": "x"}',
        b"[" * 1000,
        b'{"token": 1}',
        b'"token"',
        b"[]",
        b"null",
        b"\xff",
        b"x" * 2000,
    ],
)
def test_a_session_begins_with_a_token_and_with_nothing_else(guarded: RunningDock, body: bytes):
    assert ask(guarded, "POST", "/session", {}, body)[0] == 403


def test_a_cookie_of_a_neighbour_port_does_not_hide_the_session(guarded: RunningDock):
    """A page of another port of this host can set a cookie of our name, and browsers may send it first."""
    name = f"dicomdock-{guarded.port}"
    cookie = f"{name}=planted; other=1; {session(guarded)}; {name}=planted"
    assert ask(guarded, "GET", "/dicom-web/studies", {"Cookie": cookie})[0] == 200


def test_the_cookie_is_for_this_dock_alone(guarded: RunningDock):
    token = guarded.link().partition("#")[2]
    body = json.dumps({"token": token}).encode()
    _, headers, _ = ask(guarded, "POST", "/session", {"Origin": guarded.url}, body)
    cookie = headers["Set-Cookie"]
    assert cookie.startswith(f"dicomdock-{guarded.port}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert ask(guarded, "POST", "/session", {"Origin": guarded.url}, body)[0] == 403, "a token is good once"


@pytest.mark.slow
def test_every_answer_carries_the_security_headers(guarded: RunningDock):
    cookie = session(guarded)
    for path, headers in (
        ("/", {}),
        ("/", {"Cookie": cookie}),
        ("/dicom-web/studies", {"Cookie": cookie}),
        ("/no", {}),
    ):
        _, answered, _ = ask(guarded, "GET", path, headers)
        policy = answered["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "'unsafe-inline'" not in policy.split("style-src")[0]
        assert "http://" not in policy and "https:" not in policy
        assert answered["X-Frame-Options"] == "DENY"
        assert answered["X-Content-Type-Options"] == "nosniff"
        assert answered["Referrer-Policy"] == "no-referrer"
        assert answered["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in answered
        assert "Server" not in answered


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"Host": "localhost:PORT"}, 200),
        ({"Host": "evil.test:PORT"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://localhost:PORT"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1:PORT"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_a_session_is_not_enough(guarded: RunningDock, headers: dict[str, str], expected: int):
    headers = {name: value.replace("PORT", str(guarded.port)) for name, value in headers.items()}
    assert ask(guarded, "GET", "/dicom-web/studies", {"Cookie": session(guarded), **headers})[0] == expected


def test_acting_needs_proof_that_a_page_of_the_dock_asks(guarded: RunningDock):
    cookie = {"Cookie": session(guarded)}
    path = "/dicom-web/studies/1.2.3"
    assert ask(guarded, "DELETE", path, cookie)[0] == 403
    assert ask(guarded, "DELETE", path, {**cookie, "Origin": guarded.url})[0] == 404
    assert ask(guarded, "DELETE", path, {**cookie, "Sec-Fetch-Site": "same-origin"})[0] == 404


def test_the_websocket_is_guarded_too(guarded: RunningDock):
    host = {"Host": f"127.0.0.1:{guarded.port}"}
    ours = {**host, "Origin": guarded.url}
    cookie = {"Cookie": session(guarded)}
    assert handshake(guarded, ours | cookie) == 101
    assert handshake(guarded, ours) == 403
    assert handshake(guarded, host | cookie) == 403
    assert handshake(guarded, {**host, **cookie, "Origin": "http://127.0.0.1:1"}) == 403
    assert handshake(guarded, {**host, **cookie, "Origin": "https://evil.test"}) == 403
    evil = {"Host": f"evil.test:{guarded.port}", "Origin": f"http://evil.test:{guarded.port}"}
    assert handshake(guarded, evil | cookie) == 403


@pytest.mark.slow
def test_a_second_dock_is_the_first(guarded: RunningDock):
    import subprocess
    import sys

    home = str(guarded.settings.state.parent)
    second = subprocess.run(
        [sys.executable, "-m", "dicomdock.cli", "--home", home, "run", "--no-browser"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 0
    assert f"{guarded.url}/#" in second.stdout


# ---- real pages of other places, in a real browser


class Hostile(BaseHTTPRequestHandler):
    """A page on another port of this machine."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>hostile</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hostile() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ATTACKS: Mapping[str, str] = {
    "read": "fetch(URL + '/dicom-web/studies', {credentials: 'include'}).then(r => r.text())",
    "post blindly": """
        fetch(URL + '/dicom-web/studies', {method: 'POST', mode: 'no-cors', credentials: 'include'})
        .then(() => new Promise((_, no) => setTimeout(no, 300)))""",
    "socket": """
        new Promise((yes, no) => {
            const path = '/_nicegui_ws/socket.io/?EIO=4&transport=websocket';
            const socket = new WebSocket(URL.replace('http', 'ws') + path);
            socket.onopen = yes;
            socket.onerror = () => no('refused');
        })""",
    "script": """
        new Promise((yes, no) => {
            const script = document.createElement('script');
            script.src = URL + '/session/entry.js';
            script.onload = yes;
            script.onerror = () => no('refused');
            document.body.append(script);
        })""",
    "frame": """
        new Promise((yes, no) => {
            const frame = document.createElement('iframe');
            frame.src = URL;
            frame.onload = () => { try { frame.contentDocument ? yes() : no(); } catch { no(); } };
            document.body.append(frame);
        })""",
}


def _try(page: Page, url: str, attack: str) -> bool:
    return page.evaluate(
        f"async (URL) => {{ try {{ await ({attack}); return true; }} catch {{ return false; }} }}", url
    )


@pytest.fixture
def victim(context: BrowserContext, guarded: RunningDock) -> BrowserContext:
    """A browser with an open dock page, and so with its cookie."""
    page = context.new_page()
    page.goto(guarded.link())
    expect(page.get_by_test_id("nav-studies")).to_be_visible()
    return context


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_a_page_on_another_port_cannot_drive_the_dock(
    victim: BrowserContext, guarded: RunningDock, hostile: str, attack: str
):
    page = victim.new_page()
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if guarded.url in answer.url else None)
    page.goto(hostile)
    assert not _try(page, guarded.url, ATTACKS[attack])
    assert all(answered in (401, 403) for answered in answers)


def test_a_host_that_was_rebound_cannot_drive_the_dock(browser: Browser, guarded: RunningDock):
    # Chromium itself is told that evil.test is this machine, as a rebinding name server would tell it.
    rebound = chromium.start(browser.browser_type, "--host-resolver-rules=MAP evil.test 127.0.0.1")
    try:
        page = rebound.new_page()
        page.goto(guarded.link())
        expect(page.get_by_test_id("nav-studies")).to_be_visible()
        evil = f"http://evil.test:{guarded.port}"
        answer = page.goto(evil)
        assert answer is not None and answer.status == 421
        for attack in ("read", "socket"):
            page.goto(evil)
            if attack == "socket":
                assert not _try(page, evil, ATTACKS[attack])
            else:
                assert "not an address" in page.evaluate("fetch('/dicom-web/studies').then(r => r.text())")
    finally:
        rebound.close()


def test_a_link_opens_once_and_leaves_the_address(page: Page, context: BrowserContext, guarded: RunningDock):
    link = guarded.link()
    page.goto(link)
    expect(page.get_by_test_id("nav-studies")).to_be_visible()
    assert "#" not in page.url
    assert link.partition("#")[2] not in page.evaluate("JSON.stringify([location.href, document.cookie])")
    forget_key(page)
    context.clear_cookies()
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_text("used already")).to_be_visible()
    page.goto(guarded.url)
    expect(page.get_by_text("opens only through")).to_be_visible()


def test_markup_in_a_page_cannot_run(victim: BrowserContext, guarded: RunningDock):
    page = victim.pages[0]
    page.evaluate(
        """() => new Promise((refused) => {
          const left = new Set(["IMG", "SCRIPT"]);
          const failed = (event) => left.delete(event.target.tagName) && !left.size && refused();
          document.addEventListener("error", failed, true);
          document.body.insertAdjacentHTML("beforeend", '<img src=x onerror="window.hit = 1">');
          const script = Object.assign(document.createElement("script"), { src: "https://evil.test/x.js" });
          document.body.append(script);
        })"""
    )
    assert page.evaluate("window.hit") is None
