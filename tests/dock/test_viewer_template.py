"""What forks viewers: the ends of viewers, of the process that forks them, and of both."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomdock.dock.services.viewer_template import ForkedProcess, Process, ViewerTemplate, can_fork
from tests.waiting import until

pytestmark = [
    pytest.mark.viewer,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="viewers are forked on Linux alone"),
]

SECONDS = 300  # a machine that is busy takes a minute to import the engine


@pytest.fixture
def template() -> Iterator[ViewerTemplate]:
    made = ViewerTemplate()
    yield made
    made.close()


def begun(template: ViewerTemplate, log: Path) -> Process:
    """Start a viewer, which waits for its settings."""
    with log.open("ab") as journal:
        return template.start(os.environ, journal)


def parent(process: Process) -> int:
    """Return the ID of the process that forked a viewer, once it has."""
    until(lambda: process.pid, "the fork", seconds=SECONDS)
    return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])


def end(process: Process) -> int:
    """Close a viewer's pipes, as a dock does that ends, and return its exit code."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    return process.wait(SECONDS)


def test_viewers_end_each_by_itself_and_outlive_what_forked_them(
    template: ViewerTemplate, tmp_path: Path
) -> None:
    assert can_fork()
    log = tmp_path / "viewer.log"
    first, second, third = (begun(template, log) for _ in range(3))
    assert isinstance(first, ForkedProcess)
    forking = parent(first)
    assert parent(second) == parent(third) == forking

    assert end(first) == 0
    second.kill()
    assert end(second) == -signal.SIGKILL
    assert third.poll() is None

    os.kill(forking, signal.SIGKILL)
    until(lambda: parent(third) != forking, "the end of the process that forks", seconds=SECONDS)
    assert third.poll() is None
    fourth = begun(template, log)
    assert isinstance(fourth, ForkedProcess)
    fourth.kill()  # before it was forked
    third.kill()
    assert fourth.wait(SECONDS) == -signal.SIGKILL  # not because its standard input was closed
    assert end(fourth) == end(third) == -signal.SIGKILL

    fifth = begun(template, log)
    assert end(fifth) == 0
    template.close()
    sixth = begun(template, log)  # started anew
    assert not isinstance(sixth, ForkedProcess)
    assert end(sixth) == 0
    assert "Traceback" not in log.read_text()
