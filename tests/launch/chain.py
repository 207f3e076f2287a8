"""What stands around a click: a server behind a token, the tab that opens, the search for the token."""

from __future__ import annotations

import base64
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.launch.handoff.paths import run_folder, socket_path
from tests.servers import nginx
from tests.servers.orthanc import Orthanc
from tests.waiting import until

TOKEN = "s3cr3t-T0ken.R_~"


def tab_opener(folder: Path) -> tuple[Path, Path]:
    """Make the program that stands for the user's browser: it writes down the addresses it should open.

    Returns
    -------
    The program, for ``BROWSER``, and the file that it writes.
    """
    tabs, opener = folder / "tabs", folder / "open-tab"
    opener.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> {tabs}\n')
    opener.chmod(0o755)
    return opener, tabs


@contextmanager
def token_gate(orthanc: Orthanc, folder: Path) -> Iterator[str]:
    """Put a gate before Orthanc that lets only our token in."""
    if remedy := nginx.missing():
        pytest.skip(f"needs nginx: {remedy}")
    folder.mkdir()
    basic = base64.b64encode(f"{orthanc.user}:{orthanc.password}".encode()).decode()
    inside = (
        f'if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }} '
        f'proxy_set_header Authorization "Basic {basic}"; access_log {folder}/requests;'
    )
    with nginx.before(orthanc.root, folder, inside=inside) as address:
        yield address


def requests(folder: Path) -> list[str]:
    """Return the requests that came for DICOM, as lines of the gate's log."""
    return [line for line in (folder / "requests").read_text().splitlines() if "/dicom-web" in line]


def opened_tab(tabs: Path) -> str:
    """Wait for the address that the dock opens in the browser."""
    until(lambda: tabs.exists() and tabs.read_text().endswith("\n"), "the page that the dock opens")
    return tabs.read_text().splitlines()[0]


def _answering(settings: Settings) -> int:
    """Return the process that answers at the socket of the dock."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(socket_path(settings)))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
        pid: int = struct.unpack("=iII", credentials)[0]
        return pid


@contextmanager
def ending_the_dock(settings: Settings) -> Iterator[None]:
    """End the dock that a link started, by the process that answers at its socket."""
    try:
        yield
    finally:
        with suppress(OSError):  # it never started: what the test saw of that is the error
            os.kill(_answering(settings), signal.SIGTERM)
        lock = FileLock(run_folder(settings) / "dock.lock")
        until(lock.acquire, "the end of the dock")
        lock.release()


def assert_token_is_nowhere(home: Path) -> None:
    """Look for the token in every file of ours, and in what every process was started with."""
    token = TOKEN[:12].encode()
    for file in home.rglob("*"):
        assert not file.is_file() or token not in file.read_bytes(), file
    for kind in ("cmdline", "environ"):
        for arguments in Path("/proc").glob(f"[0-9]*/{kind}"):
            try:
                assert token not in arguments.read_bytes(), arguments
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
