"""Attacks of another user of the same machine: connections to the dock, and what the process list shows."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from dicomdock.config.settings import Settings
from dicomdock.launch.browser import open_link
from dicomdock.web import peers
from dicomdock.web.peers import peer_of
from tests.conftest import unavailable
from tests.dock.running import RunningDock, running
from tests.servers.process import ServerProcess, answers_http, free_port
from tests.waiting import until

NOBODY = 65534
CURL = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}")

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux lists the owners of sockets"
)


def as_nobody(*argv: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program as another user."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        unavailable("Another user", "run the tests as root, with setpriv")
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run([*become, *argv], capture_output=True, timeout=120, check=False, cwd="/")


@pytest.fixture(scope="module")
def dock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDock]:
    """A dock; no test changes anything of it."""
    with running(tmp_path_factory.mktemp("others") / "home") as started:
        yield started


@pytest.mark.slow
@linux
def test_a_connection_of_another_user_is_closed_before_it_is_read(dock: RunningDock) -> None:
    argv = [*CURL, "-H", "Accept: text/html", f"{dock.url}/"]
    own = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    assert own.stdout == b"401"
    other = as_nobody(*argv)
    assert other.stdout == b"000"
    assert other.returncode in (52, 56)  # an empty answer, or a connection that was reset


@pytest.mark.slow
@linux
@pytest.mark.parametrize(("options", "expected"), [((), b"000"), (("--other-users",), b"401")])
def test_the_dicomweb_server_is_for_its_user_unless_asked(
    tmp_path: Path, options: tuple[str, ...], expected: bytes
) -> None:
    port = free_port()
    argv = [sys.executable, "-m", "dicomdock.cli", "--home", str(tmp_path / "home"), "serve", *options]
    server = ServerProcess(
        [*argv, "--port", str(port)], log=tmp_path / "serve.log", ready=lambda: answers_http(port)
    )
    with server:
        curl = [*CURL, f"http://127.0.0.1:{port}/dicom-web/studies"]
        assert as_nobody(*curl).stdout == expected
        own = subprocess.run(curl, capture_output=True, timeout=120, check=False)
        assert own.stdout == b"401"


@linux
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_the_kernel_and_its_tables_name_the_same_owner(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the tables took 8 ms for each connection, which held the event loop where many came at once."""
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6")
    bound = "::" if ":" in host else host
    listener = socket.create_server((bound, 0), family=_family(host), dualstack_ipv6=":" in host)
    with listener, socket.create_connection((host, listener.getsockname()[1]), timeout=60) as client:
        accepted, _ = listener.accept()
        with accepted:
            ends = accepted.getpeername()[:2], accepted.getsockname()[:2]
            assert peers._listed(*ends) == (os.getuid(), os.fstat(client.fileno()).st_ino)
            assert peers._asked(*ends) in ((None,) if "ffff" in host else (peers._listed(*ends),))
            assert peer_of(*ends) == "same"
            assert peer_of(*ends, uid=os.getuid() + 1) == "other"
            monkeypatch.setattr(peers, "_asked", lambda *_: None)  # a kernel that does not answer
            assert peer_of(*ends) == "same"
            monkeypatch.undo()
            client.close()
            assert peer_of(*ends) == "other"
        # Nobody's connection, though a program of ours listens on its port.
        assert peer_of(listener.getsockname()[:2], ends[1]) in ("other", "unknown")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@linux
def test_a_one_time_link_that_another_user_got_hold_of_does_not_open_for_him(dock: RunningDock) -> None:
    token = dock.link().partition("#")[2]
    body = json.dumps({"token": token})
    argv = [*CURL, "-d", body, f"{dock.url}/session"]
    assert as_nobody(*argv).stdout == b"000"
    own = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    assert own.stdout == b"200"  # he has not used it up either


@linux
@pytest.mark.parametrize(
    "connect",
    [
        'socket.create_connection(("127.0.0.1", port))',
        'socket.create_connection(("::ffff:127.0.0.1", port))',
    ],
)
@pytest.mark.parametrize("then", ["pass", "link.close()", "link.shutdown(socket.SHUT_WR)", "os._exit(0)"])
def test_nothing_sent_by_another_user_is_obeyed_however_he_leaves(
    dock: RunningDock, connect: str, then: str
) -> None:
    token = dock.link().partition("#")[2]
    body = json.dumps({"token": token}).encode()
    request = b"POST /session HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n\r\n%s" % (
        dock.port,
        len(body),
        body,
    )
    script = f"""
        import os, socket
        port, request = {dock.port}, {request!r}
        try:
            link = {connect}
            link.sendall(request)
            {then}
            print(link.recv(100))
        except OSError as error:
            print(error)
    """
    answer = as_nobody("/usr/bin/python3", "-c", textwrap.dedent(script))
    assert b"HTTP/" not in answer.stdout, answer
    curl = [
        "curl",
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-d",
        body.decode(),
        f"{dock.url}/session",
    ]
    own = subprocess.run(curl, capture_output=True, timeout=120, check=False)
    assert own.stdout == b"200"  # the token was not used up


@linux
def test_the_owner_of_a_connection_is_found_for_both_families() -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as listener:
            listener.bind((host, 0))
            listener.listen()
            local = listener.getsockname()[:2]
            with socket.create_connection(local) as client:
                peer = client.getsockname()[:2]
                assert peer_of(peer, local) == "same"
                assert peer_of(peer, local, uid=os.getuid() + 1) == "other"
                closed = peer
            with listener.accept()[0]:
                assert peer_of(closed, local) == "other"  # whose it was cannot be known any more


def test_who_connects_from_elsewhere_is_not_judged() -> None:
    assert peer_of(("192.0.2.1", 1), ("192.0.2.2", 2)) == "unknown"


BROWSER = """#!{python}
import json, pathlib, sys
pathlib.Path({seen!r}).write_text(json.dumps(sys.argv))
"""


@pytest.fixture
def browser_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A browser that writes down what it is started with; gives that file."""
    seen, program = tmp_path / "seen.json", tmp_path / "browser"
    program.write_text(BROWSER.format(python=sys.executable, seen=str(seen)))
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    return seen


def opened_file(seen: Path) -> Path:
    """Return the file that the browser was started with."""
    until(seen.exists, "the start of the browser")
    until(lambda: seen.read_text(), "the start of the browser")
    (_, argument) = json.loads(seen.read_text())
    assert argument.startswith("file://")
    return Path(argument.removeprefix("file://"))


def test_the_process_list_shows_no_one_time_link(settings: Settings, browser_command: Path) -> None:
    link = "http://127.0.0.1:1/#" + "t" * 43
    assert open_link(settings, link)
    file = opened_file(browser_command)
    assert "ttt" not in browser_command.read_text()
    assert link in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_the_browser_of_a_new_dock_is_started_without_the_link(
    tmp_path: Path, browser_command: Path, context: BrowserContext
) -> None:
    home = tmp_path / "dicomdock"
    argv = [sys.executable, "-m", "dicomdock.cli", "--home", str(home), "run", "--port", "0"]
    with ServerProcess(argv, log=tmp_path / "dock.log", ready=browser_command.exists):
        file = opened_file(browser_command)
        token = file.read_text().partition("#")[2][:43]
        assert token not in browser_command.read_text()
        page = context.new_page()
        page.goto(file.as_uri())  # as the browser does; from there it is another site's visit
        expect(page.get_by_test_id("nav-studies")).to_be_visible()
