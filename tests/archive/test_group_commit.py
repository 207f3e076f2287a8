"""Writers that are ready at the same moment share a commit, and each learns what became of its own."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from dicomdock.archive.group_commit import GroupCommit
from dicomdock.archive.pending import PendingInstance
from dicomdock.archive.storage.sessions import Session
from dicomdock.dicom.header import Header
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError
from tests.waiting import until


class Commits:
    """A commit that waits until it may begin, and remembers what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.allowed = threading.Event()
        self.poisoned: set[str] = set()
        self.moves = False

    def __call__(self, pending, notes):
        assert len(notes) == len({*notes})
        self.calls.append([item.resource.instance for item in pending])
        assert self.allowed.wait(60)
        for item in pending:
            if item.resource.instance in self.poisoned:
                raise ArchiveError("This one cannot be stored.")
            if self.moves:
                item.temporary.unlink()
        return [(item, "conflict") for item in pending if item.resource.instance.endswith(".9")]


@pytest.fixture
def commits():
    return Commits()


@pytest.fixture
def group(tmp_path, commits):
    return GroupCommit(partial(Session, tmp_path, lambda: None), commits)


def store(group: GroupCommit, folder: Path, *uids: str):
    pending = []
    for uid in uids:
        temporary = folder / f"{uid}-{threading.get_ident()}"
        temporary.touch()
        pending.append(PendingInstance(Resource("1.2", "1.3", uid), Header({}), temporary, 0, ""))
    with group.session() as session:
        note = folder / f"{uids}-{threading.get_ident()}"
        return [(item.resource.instance, status) for item, status in group.commit(session, pending, note)]


def waiting(group: GroupCommit) -> int:
    return len(group._waiting)


def test_those_who_come_during_a_commit_share_the_next_one(group, commits, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(store, group, tmp_path, "1.1")
        until(lambda: commits.calls)
        others = [pool.submit(store, group, tmp_path, f"1.{number}") for number in (2, 3, 9)]
        until(lambda: waiting(group) == 3)
        assert not any(one.done() for one in (first, *others))
        commits.allowed.set()
        assert first.result() == []
        assert [one.result() for one in others] == [[], [], [("1.9", "conflict")]]
    assert [sorted(call) for call in commits.calls] == [["1.1"], ["1.2", "1.3", "1.9"]]
    (session,) = tmp_path.glob("session-*")
    store(group, tmp_path, "1.4")
    assert [*tmp_path.glob("session-*")] == [session]
    group.close()
    assert not session.exists()


def test_a_session_that_was_removed_or_failed_is_not_used_again(group, commits, tmp_path):
    commits.allowed.set()
    store(group, tmp_path, "1.1")
    (session,) = tmp_path.glob("session-*")
    shutil.rmtree(session)
    store(group, tmp_path, "1.2")
    (second,) = tmp_path.glob("session-*")
    commits.poisoned = {"1.3"}
    with pytest.raises(ArchiveError):
        store(group, tmp_path, "1.3")
    assert not second.exists()
    with group.session() as used:
        group.close()
        assert used.folder.exists(), "its writer is at work"
    assert not list(tmp_path.glob("session-*"))


def test_one_instance_of_two_writers_is_committed_by_one_after_the_other(group, commits, tmp_path):
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(store, group, tmp_path, "1.1")
        until(lambda: commits.calls)
        others = [pool.submit(store, group, tmp_path, "1.2") for _ in range(2)]
        until(lambda: waiting(group) == 2)
        commits.allowed.set()
        for one in (first, *others):
            one.result()
    assert commits.calls == [["1.1"], ["1.2"], ["1.2"]]


@pytest.mark.parametrize("moves", [False, True])
def test_a_fault_of_one_is_not_the_others_as_long_as_nothing_was_moved(group, commits, tmp_path, moves):
    commits.poisoned, commits.moves = {"1.3"}, moves
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(store, group, tmp_path, "1.1")
        until(lambda: commits.calls)
        good = pool.submit(store, group, tmp_path, "1.2")
        until(lambda: waiting(group) == 1)
        bad = pool.submit(store, group, tmp_path, "1.3")
        until(lambda: waiting(group) == 2)
        commits.allowed.set()
        first.result()
        with pytest.raises(ArchiveError):
            bad.result()
        if moves:
            with pytest.raises(ArchiveError):
                good.result()
        else:
            assert good.result() == []
