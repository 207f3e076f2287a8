"""Connections that are cut in a body: what can be had is asked for again before anything is called lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.transfer import parts_of_files
from dicomdock.transfer.pull import pull
from dicomdock.transfer.push import push
from tests.builders import Made, ct_series, write
from tests.dicomweb.awkward import Awkward, refused, rows
from tests.dicomweb.clients import client_of
from tests.servers.canned import Answer, Request
from tests.transfer.conftest import ended
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("quick_retries")


class Cutting:
    """A server whose answers to single instances are cut so many times, each in its body."""

    def __init__(self, server: Awkward, times: int) -> None:
        self.server, self.times = server, times
        self.asked: Counter[str] = Counter()

    def __call__(self, request: Request) -> Answer | None:
        answer = self.server(request)
        if "/instances/" not in request.path or answer is None:
            return answer
        self.asked[request.path] += 1
        if self.asked[request.path] > self.times:
            return answer
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        return Answer(answer.status, answer.body[: len(answer.body) // 2], headers)


@pytest.mark.parametrize("times", [1, 2])
def test_a_fetch_that_is_cut_in_its_body_is_tried_again(archive: Archive, settings: Settings, times: int):
    made = ct_series(4)
    server = Cutting(Awkward(made, levels=("instance",)), times)
    with client_of(server, settings, retrieve_level="instance") as client:
        report = ended(pull(client, archive, [Resource(made[0].study, made[0].series)], settings))
    assert report.complete
    assert (report.received, len(report.missing)) == (4, 0)


def test_one_that_is_always_cut_is_named_and_ends(archive: Archive, settings: Settings):
    made = ct_series(20)
    server = Cutting(Awkward(made, levels=("instance",)), 1000)
    one_by_one = replace(settings, instance_workers=1)
    with client_of(server, one_by_one, retrieve_level="instance") as client:
        report = ended(pull(client, archive, [Resource(made[0].study, made[0].series)], one_by_one))
    assert len(report.missing) == 20
    # Three attempts for the first three, and one for each of the rest; then all once more.
    assert sum(server.asked.values()) <= 2 * (3 * 3 + 17)


def test_what_is_missing_is_asked_for_once_more_before_it_is_called_missing(
    archive: Archive, settings: Settings
):
    made = ct_series(5)
    server = Awkward(made, levels=("instance",))
    asked: Counter[str] = Counter()

    def busy(request: Request) -> Answer | None:
        asked[request.path] += 1
        if "/instances/" in request.path and asked[request.path] <= 1:
            return refused(404)  # listed already, and not to be had yet
        return server(request)

    with client_of(busy, settings, retrieve_level="instance") as client:
        report = ended(pull(client, archive, [Resource(made[0].study, made[0].series)], settings))
    assert report.complete
    assert report.received == 5


class Storing:
    """A server that stores what it is sent, and cuts its answers or the uploads before."""

    def __init__(self, cut: str, times: int) -> None:
        self.cut, self.times = cut, times
        self.stored: dict[str, Made] = {}
        self.posts = 0
        self.server = Awkward(stores=self.store)

    def __call__(self, request: Request) -> Answer | None:
        self.server.instances = [*self.stored.values()]
        return self.server(request)

    def store(self, sent: list[Made]) -> Answer:
        self.posts += 1
        cut = self.posts <= self.times
        if not (cut and self.cut == "before it is stored"):
            self.stored |= {one.instance: one for one in sent}
        answer = rows(
            [
                {
                    "00081199": {
                        "vr": "SQ",
                        "Value": [{"00081155": {"vr": "UI", "Value": [one.instance]}} for one in sent],
                    }
                }
            ]
        )
        if cut:
            headers = {**answer.headers, "Content-Length": str(len(answer.body))}
            return Answer(200, answer.body[:10], headers)
        return answer


@pytest.mark.parametrize("cut", ["before it is stored", "after it is stored"])
@pytest.mark.parametrize(("times", "count"), [(1, 1), (1, 4), (2, 1)])
def test_a_push_whose_answer_is_cut_tells_the_truth(
    settings: Settings, tmp_path: Path, cut: str, times: int, count: int
):
    """27 of 200 ledgers said 'failed' of what the server had stored."""
    made = ct_series(count)
    server = Storing(cut, times)
    parts = parts_of_files(write(tmp_path / "series", made))
    with client_of(server, settings) as client:
        report = ended(push(parts, client, settings))
    told = {result.sop_instance_uid: result.status in ("stored", "duplicate") for result in report.results}
    assert told == {one.instance: one.instance in server.stored for one in made}
    if times == 1:
        assert report.complete


class Busy:
    """A server that refuses for a while, and says when to come back, as no real one here does."""

    def __init__(self, server: Callable[[Request], Answer | None], refusals: int, again: str = "1") -> None:
        self.server, self.left, self.again = server, refusals, again

    def __call__(self, request: Request) -> Answer | None:
        if self.left > 0:
            self.left -= 1
            return Answer(503, b"", {"Retry-After": self.again})
        return self.server(request)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests be repeated at once, whatever a server asks for."""
    monkeypatch.setattr("dicomdock.web.transport.Http._pause", lambda *_: None)
    monkeypatch.setattr("dicomdock.web.hold.Hold.seconds", 0.0)


@pytest.mark.usefixtures("no_waiting")
def test_a_pull_waits_for_a_server_that_says_when_to_come_back(archive: Archive, settings: Settings):
    made = ct_series(4)
    server = Busy(Awkward(made), 60)
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, [Resource(made[0].study)], settings))
    assert report.complete
    assert report.warnings == ()


@pytest.mark.usefixtures("no_waiting")
def test_a_push_waits_for_a_server_that_says_when_to_come_back(settings: Settings, tmp_path: Path):
    server = Busy(Storing("", 0), 60)
    parts = parts_of_files(write(tmp_path / "files", ct_series(4)))
    with client_of(server, settings) as client:
        report = ended(push(parts, client, settings, verify=False))
    assert report.complete
    assert report.warnings == ()


def test_whoever_cancels_does_not_wait_with_it(archive: Archive, settings: Settings):
    server = Busy(Awkward([]), 10**6, again="50")
    with client_of(server, settings) as client:
        work = pull(client, archive, [Resource("1.2")], settings, on_cancel=client.close)
        until(lambda: next(work) and server.left < 10**6)
        with ThreadPoolExecutor(1) as closing:
            closing.submit(work.close).result(40)
