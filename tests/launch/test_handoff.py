"""Links reach the one dock of this user, through a place that nobody else can enter."""

import json
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.handoff import Ack, AlreadyRunning, HandoffServer, NotRunning, send, show
from dicomdock.launch.handoff.paths import MAX_SOCKET_PATH, run_folder, socket_path
from dicomdock.launch.handoff.pipe import NamedPipe
from tests.machine import slowness
from tests.waiting import until

LINK = "slicer://viewer/?studyUID=1.2&access_token=s3cr3t-T0ken&dicomweb_endpoint=https%3A%2F%2Fa.test"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a Unix socket")


def test_a_link_arrives_byte_for_byte(settings: Settings) -> None:
    links: list[str] = []
    odd = LINK + "\n\"'$(x)\udcff\udc00é"
    with HandoffServer(settings, lambda link: links.append(link) or "queued"):
        assert send(LINK, settings, command=()) == Ack("queued", started=False)
        send(odd, settings, command=())
    assert links == [LINK, odd]
    with pytest.raises(NotRunning):
        send(LINK, settings, command=())


def test_the_socket_is_its_owners_alone(settings: Settings) -> None:
    with HandoffServer(settings, str):
        path = socket_path(settings)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


def test_a_folder_that_others_can_enter_is_closed_and_a_false_one_refused(
    settings: Settings, tmp_path: Path
) -> None:
    (settings.state / "run").mkdir(parents=True, mode=0o777)
    assert stat.S_IMODE(run_folder(settings).stat().st_mode) == 0o700
    (settings.state / "run").rmdir()
    (settings.state / "run").symlink_to(tmp_path)
    with pytest.raises(LaunchError, match="not a folder of yours"):
        run_folder(settings)


@pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0 or not Path("/usr/bin/python3").exists(),
    reason="needs root, to be another user for a moment",
)
def test_another_user_is_not_heard_even_when_all_doors_are_open(settings: Settings) -> None:
    links: list[str] = []
    with HandoffServer(settings, lambda link: links.append(link) or ""):
        path = socket_path(settings)
        path.parent.chmod(0o711)
        path.chmod(0o666)
        message = json.dumps({"do": "open", "link": LINK}) + "\n"
        code = (
            f"import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect({path.name!r})\n"
            f"try: s.sendall({message!r}.encode()); print(s.recv(100))\n"
            "except OSError: print(b'')"
        )
        stranger = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", code], cwd=path.parent, user=65534, group=65534, extra_groups=[],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert (stranger.stdout, stranger.stderr) == ("b''\n", "")
        assert send("slicer://mine", settings, command=()).text == ""
    assert links == ["slicer://mine"]


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    settings = Settings(deep / "config", deep / "archive", deep / "state")
    assert len(os.fsencode(socket_path(settings))) <= MAX_SOCKET_PATH
    with HandoffServer(settings, str):
        assert send("slicer://", settings, command=()).text == "slicer://"


def test_only_one_dock_and_it_can_be_asked_to_show_itself(settings: Settings) -> None:
    with HandoffServer(settings, str, lambda: "http://127.0.0.1:2042/"):
        with pytest.raises(AlreadyRunning):
            HandoffServer(settings, str).start()
        assert show(settings).text == "http://127.0.0.1:2042/"
    with pytest.raises(NotRunning):
        show(settings)


def test_a_dock_that_was_killed_leaves_no_obstacle(settings: Settings) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(os.fspath(socket_path(settings)))
    stale.close()
    with HandoffServer(settings, str):
        assert send("slicer://x", settings, command=()).text == "slicer://x"


def test_what_the_dock_refuses_is_reported_and_its_faults_are_not_shown(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def take(link: str) -> str:
        if "refuse" in link:
            raise LaunchError("No.")
        raise ValueError(link)

    with HandoffServer(settings, take):
        with pytest.raises(LaunchError, match=r"^No\.$"):
            send("slicer://refuse", settings, command=())
        with pytest.raises(LaunchError, match="could not take the link"):
            send(LINK, settings, command=())
    assert "s3cr3t" not in caplog.text


def test_nonsense_and_stalled_connections_hold_up_nobody(settings: Settings) -> None:
    with HandoffServer(settings, str) as server:
        assert server
        stalled = []
        for message in (
            b"",
            b"{",
            b"not json\n",
            b"[1]\n",
            b'{"do": "delete"}\n',
            b"[" * 5000 + b"\n",
            b"x" * 200_000,
        ):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(os.fspath(socket_path(settings)))
            try:
                connection.sendall(message)
            except OSError:
                assert len(message) > 100_000
            stalled.append(connection)
        assert send(LINK, settings, command=()).text == LINK
        for connection in stalled:
            connection.close()


def written(settings: Settings, file: Path) -> list[dict[str, object]]:
    """End the little dock, and give what it wrote by its end: it acknowledges a link before it writes it."""
    show(settings)
    lock = FileLock(run_folder(settings) / "dock.lock")
    until(lock.acquire, "the end of the little dock")
    lock.release()
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.slow
def test_thirty_links_at_once_start_one_dock_and_none_is_lost(
    settings: Settings, dock_command: tuple[str, ...], tmp_path: Path
) -> None:
    links = [f"{LINK}&n={number}" for number in range(30)]
    together = threading.Barrier(30)

    def click(link: str) -> bool:
        together.wait()
        return send(link, settings, command=dock_command).started

    with ThreadPoolExecutor(30) as pool:
        started = list(pool.map(click, links))
    lines = written(settings, tmp_path / "links")
    assert sum(started) == 1
    assert [list(line) for line in lines].count(["pid", "arguments"]) == 1
    assert sorted(line["link"] for line in lines[1:]) == sorted(links)
    assert not any("s3cr3t" in argument for argument in lines[0]["arguments"])


def test_a_dock_that_does_not_start_says_why(settings: Settings) -> None:
    broken = (sys.executable, "-I", "-c", "raise SystemExit('the port is taken')")
    with pytest.raises(LaunchError, match="its answer: the port is taken"):
        send(LINK, settings, command=broken)
    with pytest.raises(LaunchError, match="could not be started"):
        send(LINK, settings, command=("/nowhere/dicomdock",))


def refuse(link: str) -> str:
    raise LaunchError("Not today.")


def opener(settings: Settings, *arguments: bytes | str, **more: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "DICOMDOCK_HOME": os.fspath(settings.config.parent), **more}
    command = [sys.executable, "-I", "-m", "dicomdock.launch.opener", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False)


def test_the_opener_hands_over_raw_bytes_and_logs_no_query(settings: Settings) -> None:
    links: list[str] = []
    with HandoffServer(settings, lambda link: links.append(link) or ""):
        assert opener(settings, LINK.encode() + b"\xff\n").returncode == 0
    assert links == [LINK + "\udcff\n"]
    log = settings.state / "links.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "slicer:// link sent to the dock" in log.read_text()
    assert "s3cr3t" not in log.read_text()
    assert "viewer" not in log.read_text()


@pytest.mark.parametrize(
    "arguments",
    [(), (LINK, LINK), ("--help",), ("-c", LINK), ("https://a.test/studies/1.2",), ("file:///etc/passwd",),
     ("/etc/passwd",), (" " + LINK,), ("slicer://" + "a" * 17000,), ("",)],
    ids=str,
)  # fmt: skip
def test_the_opener_takes_one_link_and_nothing_else(settings: Settings, arguments: tuple[str, ...]) -> None:
    with HandoffServer(settings, lambda link: pytest.fail(link)):
        answer = opener(settings, *arguments, PATH="/nowhere")
    assert answer.returncode == 2
    assert b"exactly one link" in answer.stderr


@pytest.mark.slow
def test_the_opener_ends_at_once_and_a_carrier_starts_the_dock(
    settings: Settings, dock_command: tuple[str, ...], tmp_path: Path
) -> None:
    """The little dock stands for the real one: here only counts that the carrier starts it."""
    carry = (
        "import sys; from dicomdock.launch import deferred_open as carrier; "
        "from dicomdock.launch.handoff import client; "
        f"client.default_command = lambda: {dock_command!r}; sys.exit(carrier.main())"
    )
    environment = {**os.environ, "DICOMDOCK_HOME": os.fspath(settings.config.parent)}
    answer = subprocess.run(
        [sys.executable, "-I", "-c", carry],
        input=LINK.encode(),
        env=environment,
        capture_output=True,
        timeout=30,
    )
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert written(settings, tmp_path / "links")[1] == {"link": LINK}


@pytest.mark.slow
def test_a_user_without_a_terminal_is_reported_in_our_words(settings: Settings, tmp_path: Path) -> None:
    notifier = tmp_path / "notify-send"
    notifier.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/notice\n')
    notifier.chmod(0o755)
    with HandoffServer(settings, refuse):
        assert opener(settings, LINK, PATH=f"{tmp_path}:{os.environ['PATH']}").returncode == 1
    assert (tmp_path / "notice").read_text() == "--app-name=dicomdock\ndicomdock\nNot today.\n"


@pytest.mark.slow
def test_the_opener_is_quick(settings: Settings) -> None:
    """Python itself is subtracted."""

    def best(*command: str) -> float:
        times = []
        for _ in range(7):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, "-I", *command],
                env={**os.environ, "DICOMDOCK_HOME": os.fspath(settings.state.parent)},
                check=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(times)

    with HandoffServer(settings, str):
        assert best("-m", "dicomdock.launch.opener", LINK) - best("-c", "pass") < 0.12 * slowness()


def test_the_opener_imports_nothing_heavy() -> None:
    code = "import sys, dicomdock.launch.opener; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not loaded & {
        "pydicom",
        "numpy",
        "typer",
        "rich",
        "sqlite3",
        "urllib3",
        "asyncio",
        "dicomdock.launch.link",
    }


def test_a_pipe_with_a_key_works_alike(settings: Settings, tmp_path: Path) -> None:
    """The Windows code over another kind of connection: its key, messages and hand-off are tested."""
    pipe = NamedPipe("AF_UNIX", os.fspath(tmp_path / "p"))
    with HandoffServer(settings, str, transport=pipe):
        assert send(LINK, settings, command=(), transport=pipe).text == LINK
        (run_folder(settings) / "dock.key").write_bytes(b"f" * 32)
        with pytest.raises(LaunchError, match="another program"):
            send(LINK, settings, command=(), transport=pipe)
        (run_folder(settings) / "dock.key").unlink()
        with pytest.raises(NotRunning):
            send(LINK, settings, command=(), transport=pipe)
