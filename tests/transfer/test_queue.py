"""The list of transfers outlives the process that works on it and is shared by all of them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dicomdock.config.settings import Settings
from dicomdock.errors import ArchiveTooNew, InvalidInput
from dicomdock.transfer import Item, Progress, Transfer, TransferQueue
from dicomdock.transfer.database import MIGRATIONS
from dicomdock.transfer.queue import HISTORY
from tests.conftest import PROJECT


@pytest.fixture
def queue(settings: Settings) -> TransferQueue:
    return TransferQueue(settings)


def claim_elsewhere(settings: Settings, number: int, *, kill: bool = False) -> None:
    """Claim a transfer in a process that ends at once; killed, it leaves its lock file behind."""
    program = (
        "import sys; from pathlib import Path; from dicomdock.config.settings import Settings;"
        "from dicomdock.transfer.queue import TransferQueue;"
        "queue = TransferQueue(Settings.load(Path(sys.argv[1])));"
        "assert queue.claim(int(sys.argv[2]));"
    )
    program += "import os, signal; os.kill(os.getpid(), signal.SIGKILL)" if kill else ""
    ran = subprocess.run([sys.executable, "-c", program, str(settings.state.parent), str(number)])
    assert ran.returncode == (-signal.SIGKILL if kill else 0)


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


def test_progress_is_seen_from_outside_and_a_request_from_outside_is_seen(
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


@pytest.mark.slow
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


def test_a_clock_that_is_ahead_ends_no_transfer(settings: Settings, queue: TransferQueue):
    number = queue.add("pull", "a", ["1.2"], claimed=True).id
    database = sqlite3.connect(settings.state / "transfers.db")
    with database:
        database.execute("update transfer set updated = updated - 86400")
    database.close()
    assert TransferQueue(settings).recover() == []
    assert queue.get(number).state == "running"


def test_a_transfer_that_only_a_process_number_claims_was_interrupted(
    settings: Settings, queue: TransferQueue
):
    """A container's processes often have the number of the one before; 0.1 wrote no lock."""
    number = queue.add("pull", "a", ["1.2"]).id
    database = sqlite3.connect(settings.state / "transfers.db")
    with database:
        database.execute(f"update transfer set state = 'running', owner = {os.getpid()}")
    database.close()
    assert [found.id for found in queue.recover()] == [number]


@pytest.mark.slow
def test_the_locks_of_dead_processes_are_swept(settings: Settings, queue: TransferQueue):
    for _ in range(3):
        claim_elsewhere(settings, queue.add("pull", "a", ["1.2"]).id, kill=True)
    assert len(list((settings.state / "owners").iterdir())) == 3
    assert len(queue.recover()) == 3
    assert list((settings.state / "owners").iterdir()) == []


@pytest.mark.slow
def test_who_recovers_late_leaves_a_transfer_alone_that_runs_again(settings: Settings, queue: TransferQueue):
    number = queue.add("pull", "a", ["1.2"]).id
    claim_elsewhere(settings, number)
    late = TransferQueue(settings)
    get = late.get

    def resumed_meanwhile(number: int) -> Transfer:
        if queue.get(number).state == "running":
            queue.recover()
            queue.resume(number)
            assert queue.claim(number)
        return get(number)

    late.get = resumed_meanwhile  # type: ignore[method-assign]
    assert late.recover() == []
    assert queue.get(number).state == "running"


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


def test_words_that_are_not_text_are_kept_as_well_as_they_can_be(queue: TransferQueue):
    number = queue.add("push", "a", ["1.2"], files=["/odd\udcff.dcm"], claimed=True).id
    queue.record(number, [Item("1.2/3/4", "failed", "half a letter \ud800")])
    queue.finish(number, "failed", "half a letter \ud800")
    assert queue.get(number).message == "half a letter ?"
    assert queue.get(number).files == ("/odd\udcff.dcm",)
    assert queue.items(number)[0].reason == "half a letter ?"


def overwrite(settings: Settings, *, keep: int = 0) -> None:
    """Damage the database, as a bad disk does; its first bytes may stay."""
    file = settings.state / "transfers.db"
    connection = sqlite3.connect(file)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(keep)
        opened.write(b"this is not a database" * (size // 22 + 1))
    for log in settings.state.glob("transfers.db-*"):
        log.unlink()


@pytest.mark.parametrize("keep", [0, 100])
def test_a_damaged_list_is_moved_aside_at_the_start(
    settings: Settings, queue: TransferQueue, keep: int, caplog: pytest.LogCaptureFixture
):
    queue.add("pull", "a", ["1.2"])
    overwrite(settings, keep=keep)
    anew = TransferQueue(settings)
    assert anew.latest() == []
    assert anew.add("pull", "a", ["1.2"], claimed=True).state == "running"
    (aside,) = settings.state.glob("transfers-damaged-*.db")
    assert b"this is not a database" in aside.read_bytes()
    assert str(aside) in caplog.text


def test_a_list_that_is_damaged_meanwhile_is_moved_aside_and_work_goes_on(
    settings: Settings, queue: TransferQueue
):
    running = queue.add("pull", "a", ["1.2"], claimed=True).id
    overwrite(settings)
    assert queue.update(running, Progress(1, 2)) == ""
    queue.record(running, [Item("1.2/3/4", "failed", "no")])
    queue.finish(running, "done")
    assert queue.add("pull", "a", ["1.3"]).state == "queued"
    assert len(list(settings.state.glob("transfers-damaged-*.db"))) == 1


def test_of_two_who_find_the_damage_one_moves_it(settings: Settings, queue: TransferQueue):
    queue.add("pull", "a", ["1.2"])
    queues = [TransferQueue(settings) for _ in range(6)]
    overwrite(settings)
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda one: one.add("pull", "a", ["1.2"]).id, queues))
    assert sorted(item.id for item in queue.latest()) == sorted(added)
    assert len(list(settings.state.glob("transfers-damaged-*.db"))) == 1


def test_the_list_of_a_later_version_is_left_alone(settings: Settings, queue: TransferQueue):
    queue.add("pull", "a", ["1.2"])
    connection = sqlite3.connect(settings.state / "transfers.db")
    connection.execute(f"pragma user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(ArchiveTooNew, match="list of transfers"):
        TransferQueue(settings)


def test_who_does_not_know_de_identified_pushes_does_not_resume_them(
    settings: Settings, queue: TransferQueue
):
    """dicomdock with version 2 of this list would send the instances as they are."""
    queue.add("push", "a", ["1.2"], options={"deidentify": "basic"})
    connection = sqlite3.connect(settings.state / "transfers.db")
    (version,) = connection.execute("pragma user_version").fetchone()
    connection.close()
    assert version > 2


def test_the_list_of_0_1_opens_with_all_that_it_holds(tmp_path: Path):
    """Made by commit 7ca367b, before there was a schema version."""
    with tarfile.open(PROJECT / "tests/data/home-0.1/home.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    settings = Settings.load(tmp_path / "home")
    connection = sqlite3.connect(settings.state / "transfers.db")
    rows = connection.execute("select id, state, report from transfer order by id desc").fetchall()
    outcomes = connection.execute("select * from item order by transfer, resource").fetchall()
    assert connection.execute("pragma user_version").fetchone() == (0,)
    connection.close()
    queue = TransferQueue(settings)
    assert [(one.id, one.state) for one in queue.latest()] == [row[:2] for row in rows]
    assert [queue.get(row[0]).report for row in rows] == [json.loads(row[2]) for row in rows]
    assert [
        (row[0], item.resource, item.status, item.reason)
        for row in rows[::-1]
        for item in queue.items(row[0])
    ] == outcomes


def push_of(queue: TransferQueue, count: int) -> int:
    """Add a done push of so many instances."""
    number = queue.add("push", "a", ["1.2"], claimed=True).id
    results = [
        {"sop_instance_uid": f"1.2.{at}", "status": "stored", "reason_code": None, "reason": ""}
        for at in range(count)
    ]
    queue.record(number, [Item(f"1.2/3/1.2.{at}", "stored", "") for at in range(count)])
    queue.finish(number, "done", report={"server": "a", "complete": True, "results": results})  # type: ignore[dict-item]
    return number


@pytest.mark.slow
def test_a_long_history_is_listed_in_little_memory_and_kept_small(settings: Settings, queue: TransferQueue):
    """200 pushes of 5,000 instances took 711 MB to list, and 208 MB on the disk."""
    for _ in range(HISTORY + 5):
        last = push_of(queue, 500)
    tracemalloc.start()
    listed = queue.latest()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(listed) == HISTORY
    assert peak < 2_000_000
    assert len(queue.get(last).report["results"]) == 500  # type: ignore[arg-type]
    assert len(queue.items(last)) == 500
    oldest = listed[-1].id
    assert queue.items(oldest) == []
    assert queue.get(oldest).report == {"server": "a", "complete": True}
    assert (settings.state / "transfers.db").stat().st_size < 10_000_000


@pytest.mark.slow
def test_what_waits_or_can_be_resumed_outlives_the_history(queue: TransferQueue):
    paused = queue.add("pull", "a", ["1.2"]).id
    queue.request(paused, "pause")
    failed = queue.add("push", "a", ["1.2"], claimed=True).id
    queue.record(failed, [Item("1.2/3/4", "stored", ""), Item("1.2/3/5", "failed", "no")])
    queue.finish(failed, "partly", report={"results": [1]})
    for _ in range(HISTORY - 1):
        queue.finish(queue.add("pull", "a", ["1.2"], claimed=True).id, "done")
    assert queue.get(paused).state == "paused"
    assert len(queue.items(failed)) == 2
    assert queue.get(failed).report == {"results": [1]}
    for _ in range(2):
        queue.finish(queue.add("pull", "a", ["1.2"], claimed=True).id, "done")
    assert failed not in [item.id for item in queue.latest(1000)]
    assert paused in [item.id for item in queue.latest(1000)]


def state_after(act: Callable[[TransferQueue, int], object], queue: TransferQueue) -> Transfer:
    number = queue.add("pull", "a", ["1.2"]).id
    act(queue, number)
    return queue.get(number)


def test_json_has_what_the_command_line_shows(queue: TransferQueue):
    shown = state_after(lambda q, n: q.claim(n), queue)
    document = replace(shown, progress=Progress(1, None, 0, 5, 0.25)).to_json()
    assert document["state"] == "running"
    assert (document["done"], document["expected"], document["bytes"]) == (1, None, 5)
