"""The spare viewer: what lets the next study, or the next case of a project, be seen at once."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import ClassVar

import pytest

from dicomdock import rpc
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services import viewers as module
from dicomdock.dock.services.viewers import Viewers
from tests.waiting import until


class StandIn:
    """A viewer that starts at once; it says that it is none."""

    made: ClassVar[list[StandIn]] = []
    running, ended, page, page_since, pid, url = (
        True,
        False,
        "visible",
        0.0,
        os.getpid(),
        "http://127.0.0.1:1/",
    )

    def __init__(self, settings, gl, start, receive, ended) -> None:
        self.ready, self.study, self.opened, self.closed = False, "", False, False
        self.settled = lambda: receive(self, rpc.Settled(), lambda _: None)
        self.made.append(self)

    def start(self) -> None:
        self.ready = True

    start_quietly = wait_ready = start

    def open(self, message: rpc.OpenStudy) -> None:
        self.opened = True


def close_all(viewers) -> None:
    for viewer in viewers:
        viewer.closed = True


def test_the_next_study_opens_in_a_viewer_that_started_while_one_was_looked_at(
    settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ViewerProcess", StandIn)
    monkeypatch.setattr(module, "close_all", close_all)
    monkeypatch.setattr(StandIn, "made", [])
    nothing = SimpleNamespace(start=None, choose=None)
    viewers = Viewers(settings, template=nothing, gl=nothing)
    monkeypatch.setattr(viewers, "available", lambda: True)
    viewers.warm()  # as Studies and My work do
    until(lambda: viewers.is_ready("1.2.1"), "the spare viewer")
    viewers.warm()  # one is enough
    viewers.open(Resource("1.2.1"))
    first = StandIn.made[0]
    assert first.opened
    assert not viewers.is_ready("1.2.2")  # the processor is for the study, until it is shown
    first.settled()
    until(lambda: viewers.is_ready("1.2.2"), "the next spare viewer")
    viewers.open(Resource("1.2.2"))
    assert [one.opened for one in StandIn.made] == [True, True]
    viewers.close()
    assert all(one.closed for one in StandIn.made)
