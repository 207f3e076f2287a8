"""Queued transfers: run, paused, cancelled, killed and taken up again, by this process or another."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.config.dialects import Dialect
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Level, Resource
from dicomdock.dicomweb import Client
from dicomdock.errors import ArchiveLocked, Cancelled, NotFound
from dicomdock.sources import Part
from dicomdock.transfer import Connect, Runner, Transfer, TransferQueue, run
from tests.builders import Made, changed, ct_series, write
from tests.dicomweb.awkward import Awkward
from tests.dicomweb.clients import orthanc_client
from tests.servers.canned import Answer, Request, answering
from tests.servers.orthanc import Orthanc
from tests.transfer.conftest import ended


@pytest.fixture
def queue(settings: Settings) -> TransferQueue:
    return TransferQueue(settings)


@contextmanager
def connecting(
    reply: Callable[[Request], Answer | None], settings: Settings, *, retrieve_level: Level = "instance"
) -> Iterator[Connect]:
    """Run a server, by default one that gives single instances, and give the way to connect by any name."""
    with answering(reply) as server:
        dialect = Dialect(retrieve_level=retrieve_level)
        yield lambda name: Client(ServerProfile(name, server.url, dialect=dialect), settings=settings)


class Gate:
    """A server in front of another that gives so many instances and then waits until it is opened."""

    def __init__(self, server: Awkward, count: int) -> None:
        self.server, self.left = server, threading.Semaphore(count)
        self.full, self.opened = threading.Event(), threading.Event()

    def __call__(self, request: Request) -> Answer | None:
        if (
            "/instances/" in request.path
            and not self.opened.is_set()
            and not self.left.acquire(blocking=False)
        ):
            self.full.set()
            self.opened.wait(60)
        return self.server(request)


def claimed(queue: TransferQueue, *args: object, **options: object):
    transfer = queue.add(*args, **options)  # type: ignore[arg-type]
    assert queue.claim(transfer.id)
    return queue.get(transfer.id)


def study_of(made: list[Made]) -> str:
    return made[0].study


def test_a_pull_and_the_push_of_what_it_brought(
    orthanc: Orthanc, queue: TransferQueue, archive: Archive, settings: Settings
):
    made = ct_series(4)
    orthanc.add(*(one.data for one in made))

    def connect(_: str) -> Client:
        return orthanc_client(orthanc, settings)

    transfer = claimed(queue, "pull", "orthanc", [study_of(made)])
    assert ended(run(queue, transfer, archive, connect, settings)).complete
    done = queue.get(transfer.id)
    assert (done.state, done.progress.done, done.progress.expected) == ("done", 4, 4)
    assert done.report["complete"] is True
    orthanc.clean()
    transfer = claimed(queue, "push", "orthanc", [study_of(made)])
    assert ended(run(queue, transfer, archive, connect, settings)).complete
    assert {item.status for item in queue.items(transfer.id)} == {"stored"}
    assert orthanc.instance_count() == 4
    assert all(one.sent == ("orthanc",) for one in archive.instances(Resource(study_of(made))))


@pytest.mark.slow
def test_a_resumed_push_sends_only_what_is_not_confirmed(
    queue: TransferQueue, archive: Archive, settings: Settings, tmp_path: Path
):
    made = ct_series(6)
    files = [str(file) for file in write(tmp_path / "files", made)]
    server = Awkward()
    broken = {made[1].instance, made[4].instance}
    sent: list[str] = []

    def stores(instances: list[Made]) -> Answer:
        sent.extend(one.instance for one in instances)
        server.keep([one for one in instances if one.instance not in broken])
        return Answer(200, b"success", {"Content-Type": "text/plain"})

    server.stores = stores
    with connecting(server, settings) as connect:
        transfer = claimed(queue, "push", "x", files=files)
        assert not ended(run(queue, transfer, archive, connect, settings)).complete
        assert queue.get(transfer.id).state == "partly"
        failed = {item.resource.rsplit("/")[-1] for item in queue.items(transfer.id, "failed", "unconfirmed")}
        assert failed == broken
        broken.clear()
        sent.clear()
        again = queue.resume(transfer.id)
        assert queue.claim(again.id)
        assert ended(run(queue, again, archive, connect, settings)).complete
    assert set(sent) == failed
    assert queue.get(transfer.id).state == "done"
    assert queue.items(transfer.id, "failed", "unconfirmed") == []


@pytest.mark.slow
def test_what_cannot_be_sent_is_not_worth_another_try(
    queue: TransferQueue, archive: Archive, settings: Settings, tmp_path: Path
):
    """A file without a study's UID fails before a server is asked; one that a server refuses may go later."""
    made = ct_series(2)
    folder = tmp_path / "files"
    write(folder, made)
    (folder / "nameless.dcm").write_bytes(changed(made[0], StudyInstanceUID="").data)
    server, kept = Awkward(), set[str]()

    def stores(instances: list[Made]) -> Answer:
        server.keep([one for one in instances if one.instance in kept])
        return Answer(200, b"success", {"Content-Type": "text/plain"})

    server.stores = stores
    with connecting(server, settings) as connect:
        refused = claimed(queue, "push", "x", files=[str(folder)])
        ended(run(queue, refused, archive, connect, settings))
        kept |= {one.instance for one in made}
        sent = claimed(queue, "push", "x", files=[str(folder)])
        ended(run(queue, sent, archive, connect, settings))
    assert [queue.get(one.id).state for one in (refused, sent)] == ["failed", "partly"]
    assert [queue.get(one.id).worth_resuming for one in (refused, sent)] == [True, False]


def test_pushing_a_file_says_nothing_of_the_archives_instance_of_its_uid(
    queue: TransferQueue, archive: Archive, settings: Settings, tmp_path: Path
):
    (mine,) = ct_series(1)
    files = write(tmp_path / "files", [changed(mine, PatientComments="edited elsewhere")])
    with archive.writer() as writer:
        writer.add(Part("application/dicom", lambda: iter([mine.data])))
    server = Awkward()

    def stores(instances: list[Made]) -> Answer:
        server.keep(instances)
        return Answer(200, b"success", {"Content-Type": "text/plain"})

    server.stores = stores
    with connecting(server, settings) as connect:
        transfer = claimed(queue, "push", "x", files=[str(file) for file in files])
        assert ended(run(queue, transfer, archive, connect, settings)).complete
    assert archive.instances(mine.resource)[0].sent == ()
    assert archive.retention.evict(0).removed == ()


@pytest.mark.slow
@pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_request_from_elsewhere_ends_a_running_transfer(
    queue: TransferQueue, archive: Archive, settings: Settings, wish: str, state: str
):
    made = ct_series(20)
    gate = Gate(Awkward(made, levels=("instance",)), 5)
    with connecting(gate, settings) as connect:
        transfer = claimed(queue, "pull", "x", [study_of(made)])
        work = run(queue, transfer, archive, connect, settings)
        while not gate.full.is_set():
            next(work)
        TransferQueue(settings).request(transfer.id, wish)  # type: ignore[arg-type]
        with pytest.raises(Cancelled, match="stays in the archive"):
            ended(work)
        assert queue.get(transfer.id).state == state
        gate.opened.set()
        again = queue.resume(transfer.id)
        assert queue.claim(again.id)
        report = ended(run(queue, again, archive, connect, settings))
    assert report.complete
    assert len(archive.instances(Resource(study_of(made)))) == 20


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_a_silent_server(
    queue: TransferQueue, archive: Archive, settings: Settings
):
    made = ct_series(3)
    server = Awkward(made)

    def falls_silent(request: Request) -> Answer | None:
        if request.path.endswith(made[0].series):
            _thread.interrupt_main()  # as Ctrl-C does
            return None
        return server(request)

    settings = replace(settings, read_timeout=60.0)
    begun = time.monotonic()
    with connecting(falls_silent, settings, retrieve_level="study") as connect:
        transfer = claimed(queue, "pull", "x", [study_of(made)])
        with pytest.raises(KeyboardInterrupt):
            ended(run(queue, transfer, archive, connect, settings))
    assert time.monotonic() - begun < settings.read_timeout / 2
    assert queue.get(transfer.id).state == "cancelled"
    assert queue.resume(transfer.id).state == "queued"


@pytest.mark.slow
def test_a_runner_outlives_a_list_of_transfers_that_cannot_be_used_for_a_while(
    queue: TransferQueue, archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    made = ct_series(1)
    failed, finished = threading.Event(), threading.Event()
    next_queued = queue.next_queued

    def fails_once() -> Transfer | None:
        if not failed.is_set():
            failed.set()
            raise ArchiveLocked("another process holds it")
        return next_queued()

    monkeypatch.setattr(queue, "next_queued", fails_once)

    def changed(number: int) -> None:
        if queue.get(number).ended:
            finished.set()

    with connecting(Awkward(made), settings) as connect:
        runner = Runner(queue, archive, connect, settings, changed=changed, concurrency=1)
        queue.add("pull", "x", [study_of(made)])
        runner.start()
        assert failed.wait(60)
        assert finished.wait(60)
        runner.stop()


def test_a_failed_transfer_says_why_and_can_be_tried_again(
    queue: TransferQueue, archive: Archive, settings: Settings
):
    made = ct_series(2)
    server = Awkward()
    with connecting(server, settings) as connect:
        transfer = claimed(queue, "pull", "x", [study_of(made)])
        with pytest.raises(NotFound):
            ended(run(queue, transfer, archive, connect, settings))
        failed = queue.get(transfer.id)
        assert failed.state == "failed"
        assert study_of(made) in failed.message
        server.instances = made
        again = queue.resume(transfer.id)
        assert queue.claim(again.id)
        assert ended(run(queue, again, archive, connect, settings)).complete


@pytest.mark.slow
def test_the_runner_works_off_the_queue_and_tells_of_changes(
    queue: TransferQueue, archive: Archive, settings: Settings
):
    made = [ct_series(2) for _ in range(5)]
    server = Awkward([one for series in made for one in series], levels=("instance",))
    finished = threading.Semaphore(0)

    def changed(number: int) -> None:
        if queue.get(number).ended:
            finished.release()

    with connecting(server, settings) as connect:
        runner = Runner(queue, archive, connect, settings, changed=changed)
        runner.start()
        numbers = [queue.add("pull", "x", [study_of(series)]).id for series in made]
        runner.wake()
        assert all(finished.acquire(timeout=60) for _ in numbers)
        runner.stop()
    assert {queue.get(number).state for number in numbers} == {"done"}


@pytest.mark.slow
def test_a_stopped_runner_leaves_its_work_for_the_next(
    queue: TransferQueue, archive: Archive, settings: Settings
):
    made = ct_series(20)
    gate = Gate(Awkward(made, levels=("instance",)), 5)
    with connecting(gate, settings) as connect:
        first = Runner(queue, archive, connect, settings)
        number = queue.add("pull", "x", [study_of(made)]).id
        first.start()
        assert gate.full.wait(60)
        first.stop()
        assert queue.get(number).state == "queued"
        gate.opened.set()
        finished = threading.Event()
        second = Runner(
            queue,
            archive,
            connect,
            settings,
            changed=lambda changed: finished.set() if queue.get(changed).ended else None,
        )
        second.start()
        assert finished.wait(60)
        second.stop()
    assert queue.get(number).state == "done"
    assert len(archive.instances(Resource(study_of(made)))) == 20


@pytest.mark.slow
def test_an_unexpected_error_is_written_down_and_the_runner_lives_on(
    queue: TransferQueue, archive: Archive, settings: Settings, caplog: pytest.LogCaptureFixture
):
    made = ct_series(1)
    finished = threading.Semaphore(0)

    def changed(number: int) -> None:
        if queue.get(number).ended:
            finished.release()

    with connecting(Awkward(made), settings) as connect:

        def connect_once(name: str) -> Client:
            if name == "broken":
                raise RuntimeError("a fault of ours")
            return connect(name)  # type: ignore[return-value]

        runner = Runner(queue, archive, connect_once, replace(settings), changed=changed, concurrency=1)
        broken = queue.add("pull", "broken", [study_of(made)])
        good = queue.add("pull", "x", [study_of(made)])
        runner.start()
        assert finished.acquire(timeout=60)
        assert finished.acquire(timeout=60)
        runner.stop()
    assert queue.get(broken.id).state == "failed"
    assert "unexpected" in queue.get(broken.id).message
    assert queue.get(good.id).state == "done"
    assert "a fault of ours" in caplog.text
