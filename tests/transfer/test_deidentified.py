"""A push of de-identified copies: nothing else reaches the server, not even when it is resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from pydicom import dcmread

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.deidentify import Deidentifier, HeldBack
from dicomdock.deidentify.deidentifier import Outcome
from dicomdock.errors import InvalidInput
from dicomdock.sources import Part
from dicomdock.transfer import TransferQueue, run
from tests.builders import Made, changed, ct_series, document, encode
from tests.deidentify.canaries import found, infest
from tests.deidentify.conftest import odd_values  # noqa: F401
from tests.dicomweb.awkward import Awkward
from tests.servers.canned import Answer, Request
from tests.transfer.conftest import ended
from tests.transfer.test_runner import claimed, connecting

DOCUMENT = 0x00420011
PROFILE = "basic,retain-modified-dates"
OPTIONS = {"deidentify": PROFILE, "key_file": "", "blank": []}


class Recording:
    """A server that takes everything, and every byte that reached it."""

    def __init__(self) -> None:
        self.server = Awkward()
        self.received: list[Made] = []
        self.bytes = b""
        self.refused: set[int] = set()
        self.server.stores = self.stores

    def stores(self, instances: list[Made]) -> Answer:
        taken = [one for number, one in enumerate(instances) if number not in self.refused]
        self.received += taken
        self.server.keep(taken)
        return Answer(200, b"success", {"Content-Type": "text/plain"})

    def __call__(self, request: Request) -> Answer | None:
        self.bytes += request.body + request.path.encode()
        return self.server(request)


@pytest.fixture
def queue(settings: Settings) -> TransferQueue:
    return TransferQueue(settings)


@pytest.fixture
def server() -> Iterator[Recording]:
    yield Recording()


def add(archive: Archive, *instances: bytes) -> None:
    with archive.writer() as writer:
        for data in instances:
            writer.add(Part("application/dicom", lambda data=data: iter([data])))


@pytest.mark.slow
@pytest.mark.usefixtures("odd_values")
def test_no_canary_reaches_the_server(
    queue: TransferQueue,
    archive: Archive,
    settings: Settings,
    server: Recording,
) -> None:
    dataset = ct_series(1)[0].dataset
    add(archive, infest(dataset, spare=[DOCUMENT]))
    with connecting(server, settings) as connect:
        transfer = claimed(
            queue,
            "push",
            "x",
            resources=[dataset.StudyInstanceUID],
            options={"deidentify": "basic", "verify": True},
        )
        report = ended(run(queue, transfer, archive, connect, settings))
    assert report.complete
    assert len(server.received) == 1
    assert found(server.bytes) == set()
    assert dataset.StudyInstanceUID.encode() not in server.bytes
    stated = report.to_json()["deidentification"]
    assert stated["instances"] == 1
    assert "PatientName" in stated["attributes"]["replaced"]
    assert found(json.dumps(stated).encode()) == set()


@pytest.mark.slow
def test_copies_do_not_count_as_sent_and_what_cannot_leave_is_named(
    queue: TransferQueue,
    archive: Archive,
    settings: Settings,
    server: Recording,
) -> None:
    (one,) = ct_series(1)
    paper = document(StudyInstanceUID=one.study)
    add(archive, one.data, paper.data)
    options = {
        **OPTIONS,
        "deidentify": "basic,retain-uids",
    }  # with the same UIDs it is another instance still
    with connecting(server, settings) as connect:
        transfer = claimed(queue, "push", "x", resources=[one.study], options=options)
        report = ended(run(queue, transfer, archive, connect, settings))
    assert not report.complete
    assert queue.get(transfer.id).state == "partly"
    assert [item.instance for item in server.received] == [one.instance]
    assert b"Doe" not in server.bytes
    (held,) = queue.items(transfer.id, "failed")
    assert "held back" in held.reason
    assert archive.instances(one.resource)[0].sent == ()
    assert archive.retention.evict(0).removed == ()


@pytest.mark.slow
def test_a_resumed_push_sends_the_rest_under_the_same_names(
    queue: TransferQueue,
    archive: Archive,
    settings: Settings,
    server: Recording,
) -> None:
    made = ct_series(3)
    add(archive, *(one.data for one in made))
    server.refused = {1}
    with connecting(server, settings) as connect:
        transfer = claimed(queue, "push", "x", resources=[made[0].study], options=OPTIONS)
        assert not ended(run(queue, transfer, archive, connect, settings)).complete
        server.refused = set()
        again = queue.resume(transfer.id)
        assert queue.claim(again.id)
        assert ended(run(queue, again, archive, connect, settings)).complete
    copies = [dcmread(BytesIO(one.data)) for one in server.received]
    assert len({one.SOPInstanceUID for one in copies}) == 3
    assert len({one.SeriesInstanceUID for one in copies}) == len({one.PatientID for one in copies}) == 1
    assert all(one.PatientIdentityRemoved == "YES" for one in copies)
    assert not {one.SOPInstanceUID for one in copies} & {one.instance for one in made}


@pytest.mark.slow
def test_files_leave_as_copies_too(
    queue: TransferQueue,
    archive: Archive,
    settings: Settings,
    server: Recording,
    tmp_path: Path,
) -> None:
    one = changed(ct_series(1)[0], BurnedInAnnotation="YES")
    file = tmp_path / "one.dcm"
    file.write_bytes(one.data)
    options = {**OPTIONS, "blank": ["0,0,4,4"]}
    with connecting(server, settings) as connect:
        transfer = claimed(queue, "push", "x", files=[str(file)], options=options)
        assert ended(run(queue, transfer, archive, connect, settings)).complete
    (copy,) = server.received
    assert copy.dataset.BurnedInAnnotation == "NO"
    assert (copy.dataset.pixel_array[:4, :4] == -32768).all()
    assert file.read_bytes() == one.data


@pytest.mark.slow
def test_each_copy_is_made_once_and_what_cannot_be_blanked_does_not_stop_the_rest(
    queue: TransferQueue,
    archive: Archive,
    settings: Settings,
    server: Recording,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [changed(one, BurnedInAnnotation="YES") for one in ct_series(4)]
    small = changed(made[1], Columns=2, Rows=2)  # the rectangle is outside
    short = changed(made[2])
    short.dataset.PixelData = short.dataset.PixelData[:-2]  # known only when its pixels are read
    add(archive, made[0].data, encode(small.dataset), encode(short.dataset), made[3].data)
    seen: list[Outcome] = []
    whole = Deidentifier.file

    def counted(self: Deidentifier, file: BinaryIO) -> Outcome:
        seen.append(whole(self, file))
        return seen[-1]

    monkeypatch.setattr(Deidentifier, "file", counted)
    with connecting(server, settings) as connect:
        options = {**OPTIONS, "blank": ["2,2,4,4"]}
        transfer = claimed(queue, "push", "x", resources=[made[0].study], options=options)
        report = ended(run(queue, transfer, archive, connect, settings))
    assert len(server.received) == 2
    assert [isinstance(one, HeldBack) for one in seen] == [False, True, False]
    held = report.to_json()["deidentification"]["held_back"]
    assert {one["resource"]: one["reason"].partition(" ")[0] for one in held} == {
        str(small.resource): "the",
        str(short.resource): "its",
    }
    assert all("it was held back: " in item.reason for item in queue.items(transfer.id, "failed"))
    assert len(queue.items(transfer.id, "failed")) == 2


def test_options_that_cannot_be_read_send_nothing(
    queue: TransferQueue,
    archive: Archive,
    settings: Settings,
    server: Recording,
) -> None:
    (one,) = ct_series(1)
    add(archive, one.data)
    with connecting(server, settings) as connect:
        transfer = claimed(queue, "push", "x", resources=[one.study], options={"deidentify": "later,version"})
        with pytest.raises(InvalidInput):
            ended(run(queue, transfer, archive, connect, settings))
    assert server.bytes == b""
    assert queue.get(transfer.id).state == "failed"
