"""The list of transfers outlives the process that works on it and is shared by all of them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dicomdock.config.settings import Settings
from dicomdock.errors import ArchiveError, InvalidInput
from dicomdock.transfer import Item, Progress, Transfer, TransferQueue


@pytest.fixture
def queue(settings: Settings) -> TransferQueue:
    return TransferQueue(settings)


def claim_elsewhere(settings: Settings, number: int) -> None:
    """Claim a transfer in a process that ends at once, as a killed one does."""
    program = (
        "import sys; from pathlib import Path; from dicomdock.config.settings import Settings;"
        "from dicomdock.transfer.queue import TransferQueue;"
        "assert TransferQueue(Settings.load(Path(sys.argv[1]))).claim(int(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", program, str(settings.state.parent), str(number)], check=True)


def test_a_transfer_is_remembered_as_it_was_given(settings: Settings, queue: TransferQueue):
    added = queue.add("push", "hospital", ["1.2", "1.3/4"], files=["/a b/c.dcm"], options={"verify": True})
    assert TransferQueue(settings).get(added.id) == added
    assert (added.kind, added.server, added.state) == ("push", "hospital", "queued")
    assert added.resources == ("1.2", "1.3/4")
    assert added.files == ("/a b/c.dcm",)
    assert added.options == {"verify": True}


def test_what_is_claimed_from_the_start_never_waits_for_a_dock(queue: TransferQueue):
    own = queue.add("pull", "a", ["1.2"], claimed=True)
    assert own.state == "running"
    assert queue.next_queued() is None
    assert not queue.claim(own.id)
    assert queue.recover() == []


def test_the_newest_comes_first_and_the_oldest_waits_longest(queue: TransferQueue):
    first, second = queue.add("pull", "a", ["1.2"]), queue.add("pull", "b", ["1.3"])
    assert [item.id for item in queue.latest()] == [second.id, first.id]
    waiting = queue.next_queued()
    assert waiting is not None and waiting.id == first.id


def test_only_one_of_many_claims_succeeds(queue: TransferQueue):
    number = queue.add("pull", "a", ["1.2"]).id
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: queue.claim(number), range(16))) == 1
    assert queue.next_queued() is None


def test_progress_is_seen_from_outside_and_a_wish_from_outside_is_seen(
    settings: Settings, queue: TransferQueue
):
    number = queue.add("pull", "a", ["1.2"]).id
    queue.claim(number)
    progress = Progress(3, 10, 1, 4096, 1.5, "receiving")
    assert queue.update(number, progress) == ""
    other = TransferQueue(settings)
    assert other.get(number).progress == progress
    other.request(number, "pause")
    assert queue.update(number, progress) == "pause"


@pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_waiting_transfer_obeys_at_once(queue: TransferQueue, wish: str, state: str):
    number = queue.add("pull", "a", ["1.2"]).id
    assert queue.request(number, wish).state == state  # type: ignore[arg-type]
    assert not queue.claim(number)
    assert queue.resume(number).state == "queued"


def test_what_is_done_is_not_queued_again(queue: TransferQueue):
    number = queue.add("pull", "a", ["1.2"]).id
    queue.claim(number)
    queue.finish(number, "done", report={"complete": True})
    assert queue.resume(number).state == "done"
    assert queue.get(number).report == {"complete": True}


@pytest.mark.parametrize(("background", "state"), [(False, "paused"), (True, "queued")])
def test_a_transfer_whose_process_died_is_found(
    settings: Settings, queue: TransferQueue, background: bool, state: str
):
    number = queue.add("pull", "a", ["1.2"], options={"background": background}).id
    claim_elsewhere(settings, number)
    assert queue.get(number).state == "running"
    (found,) = queue.recover()
    assert found.id == number
    assert queue.get(number).state == state
    assert "interrupted" in queue.get(number).message


def test_an_earlier_process_of_our_own_number_is_not_taken_for_us(settings: Settings, queue: TransferQueue):
    number = queue.add("pull", "a", ["1.2"], claimed=True).id
    database = sqlite3.connect(settings.state / "transfers.db")
    with database:
        database.execute("update transfer set updated = updated - 86400")
    database.close()
    assert [found.id for found in queue.recover()] == [number]


def test_a_living_transfer_is_left_alone(queue: TransferQueue):
    number = queue.add("pull", "a", ["1.2"]).id
    queue.claim(number)
    assert queue.recover() == []
    assert queue.resume(number).state == "running"


def test_the_last_outcome_of_an_instance_counts(queue: TransferQueue):
    number = queue.add("push", "a", ["1.2"]).id
    queue.record(number, [Item("1.2/3/4", "failed", "no"), Item("1.2/3/5", "stored", "")])
    queue.record(number, [Item("1.2/3/4", "stored", "")])
    assert queue.items(number, "failed") == []
    assert [item.resource for item in queue.items(number)] == ["1.2/3/4", "1.2/3/5"]


def test_an_ended_transfer_can_be_forgotten_with_its_items_but_a_running_one_cannot(queue: TransferQueue):
    number = queue.add("push", "a", ["1.2"]).id
    queue.claim(number)
    queue.record(number, [Item("1.2/3/4", "stored", "")])
    queue.forget(number)
    assert queue.get(number).state == "running"
    queue.finish(number, "done")
    queue.forget(number)
    with pytest.raises(InvalidInput, match="no transfer"):
        queue.get(number)
    assert queue.items(number) == []


def test_words_that_are_no_text_are_kept_as_well_as_they_can_be(queue: TransferQueue):
    number = queue.add("push", "a", ["1.2"], files=["/odd\udcff.dcm"], claimed=True).id
    queue.record(number, [Item("1.2/3/4", "failed", "half a letter \ud800")])
    queue.finish(number, "failed", "half a letter \ud800")
    assert queue.get(number).message == "half a letter ?"
    assert queue.get(number).files == ("/odd\udcff.dcm",)
    assert queue.items(number)[0].reason == "half a letter ?"


def test_a_damaged_list_says_what_to_do(settings: Settings, queue: TransferQueue):
    for file in settings.state.glob("transfers.db*"):
        file.write_bytes(b"this is not a database" * 500)
    with pytest.raises(ArchiveError, match="move it away"):
        TransferQueue(settings)


def state_after(act: Callable[[TransferQueue, int], object], queue: TransferQueue) -> Transfer:
    number = queue.add("pull", "a", ["1.2"]).id
    act(queue, number)
    return queue.get(number)


def test_json_has_what_the_command_line_shows(queue: TransferQueue):
    shown = state_after(lambda q, n: q.claim(n), queue)
    document = replace(shown, progress=Progress(1, None, 0, 5, 0.25)).to_json()
    assert document["state"] == "running"
    assert (document["done"], document["expected"], document["bytes"]) == (1, None, 5)
