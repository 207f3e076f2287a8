"""The sender's side: find the dock, or start it, and hand the link over."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch import MAX_LINK
from dicomdock.launch.handoff.paths import run_folder
from dicomdock.launch.handoff.system import system_transport
from dicomdock.launch.handoff.transport import Channel, Transport
from dicomdock.launch.python_command import python

if TYPE_CHECKING:
    import subprocess

_START_TIME = 30.0  # seconds that a dock may take to come up on a slow machine
_ANSWER_TIME = 30.0  # seconds for a running dock to say that it has the link, on a busy machine too
_PAUSE = 0.02  # seconds between two looks whether the dock is there


class NotRunning(LaunchError):
    """No dock runs, and none was to be started."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The dock has it.

    Parameters
    ----------
    text : what the dock says to it; for ``show`` the address of its page.
    started : the dock had to be started for it.
    """

    text: str
    started: bool


def default_command() -> tuple[str, ...]:
    """Return the command that starts the dock without opening a page."""
    return (*python(), "-m", "dicomdock.cli", "run", "--background")


def send(
    link: str,
    settings: Settings,
    *,
    command: Sequence[str] | None = None,
    timeout: float = _START_TIME,
    transport: Transport | None = None,
) -> Ack:
    """Pass a link to the dock; start the dock, without the link in its arguments, when none runs.

    Parameters
    ----------
    link : exactly as it came.
    settings : whose dock.
    command : what starts the dock; ``default_command`` when None, and empty to start none.
    timeout : seconds that the dock may take to start.
    transport : how to connect; by default this system's way.

    Raises
    ------
    NotRunning
        No dock runs, and ``command`` is empty.
    LaunchError
        No dock could be started, or it did not take the link.
    """
    if len(link) > MAX_LINK:
        raise LaunchError("This link is longer than 16 kB; dicomdock does not open it.")
    return _ask({"do": "open", "link": link}, settings, command, timeout, transport or system_transport())


def show(settings: Settings, *, transport: Transport | None = None) -> Ack:
    """Ask the running dock to show its page.

    Raises
    ------
    NotRunning
        No dock runs.
    """
    return _ask({"do": "show"}, settings, (), 0.0, transport or system_transport())


def _ask(
    message: dict[str, str],
    settings: Settings,
    command: Sequence[str] | None,
    timeout: float,
    transport: Transport,
) -> Ack:
    command = default_command() if command is None else command
    try:
        try:
            answer, started = _exchange(message, settings, command, timeout, transport)
        except ConnectionError:  # it came to a dock that was just ending
            answer, started = _exchange(message, settings, command, timeout, transport)
    except (OSError, ValueError) as error:
        raise LaunchError("The running dock did not answer; stop it and open the link again.") from error
    if not answer.get("ok"):
        raise LaunchError(str(answer.get("text")))
    return Ack(str(answer.get("text", "")), started)


def _exchange(
    message: dict[str, str], settings: Settings, command: Sequence[str], timeout: float, transport: Transport
) -> tuple[dict[str, object], bool]:
    channel, started = _reach(settings, command, timeout, transport)
    try:
        channel.send(json.dumps(message).encode("ascii"))
        answer: dict[str, object] = json.loads(channel.receive(_ANSWER_TIME))
    finally:
        channel.close()
    return answer, started


def _reach(
    settings: Settings, command: Sequence[str], timeout: float, transport: Transport
) -> tuple[Channel, bool]:
    """Connect to the dock. Of many senders at once one starts it, the others wait for it."""
    end = time.monotonic() + timeout
    starting = FileLock(run_folder(settings) / "start.lock")
    child: subprocess.Popen[bytes] | None = None
    try:
        while True:
            with contextlib.suppress(OSError):
                return transport.connect(settings), child is not None
            if not command:
                raise NotRunning("dicomdock is not running; start it with `dicomdock run`.")
            if child is None and starting.acquire():
                with contextlib.suppress(OSError):  # it may have come up just before the lock was ours
                    return transport.connect(settings), False
                child = _start(settings, command)
            # Status 0 of a dock that is not there means that it went to the background, or found another one.
            if (child is not None and child.poll()) or time.monotonic() > end:
                raise LaunchError(_why_not(settings))
            time.sleep(_PAUSE)
    finally:
        starting.release()
        if child is not None and child.returncode is None:
            child.returncode = 0  # it lives on without us; Popen need not complain


def _start(settings: Settings, command: Sequence[str]) -> subprocess.Popen[bytes]:
    from dicomdock.launch.detached import start_detached

    descriptor = os.open(_log_file(settings), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return start_detached(command, settings, output=descriptor)
    except OSError as error:
        raise LaunchError(f"The dock could not be started ({command[0]}: {error.strerror}).") from error
    finally:
        os.close(descriptor)


def _log_file(settings: Settings) -> Path:
    return run_folder(settings) / "start.log"


def _why_not(settings: Settings) -> str:
    file = _log_file(settings)
    lines = file.read_bytes()[-4000:].decode("utf-8", "replace").strip().splitlines() if file.exists() else []
    answer = f"; its answer: {lines[-1][:300]}" if lines else ""
    return f"The dock did not start{answer}. Run `dicomdock doctor`; the whole message is in {file}."
