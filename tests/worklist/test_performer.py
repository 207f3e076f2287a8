"""A performer takes work from the archive's own list and from that of a server, and no claim is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import DicomJson, items, text
from dicomdock.dicom.query import Query
from dicomdock.dicomweb.client import Client
from dicomdock.errors import DicomdockError, Unreachable, UnsupportedByServer
from dicomdock.worklist import lists
from dicomdock.worklist.lists import LocalWorkList, RemoteWorkList, WorkList
from dicomdock.worklist.performer import FILE, NotClaimed, Performer
from dicomdock.worklist.refusals import StepRefused
from dicomdock.worklist.requirements import State
from tests.origin.running import serving
from tests.worklist.test_procedure_step import SCHEDULED


@pytest.fixture(params=["local", "server"])
def work_list(request: pytest.FixtureRequest, settings: Settings) -> Iterator[WorkList]:
    """Yield the archive's own work list, and the same one behind a real server."""
    with Archive.open(settings) as archive:
        if request.param == "local":
            yield LocalWorkList(archive)
            return
        with (
            serving(archive) as server,
            Client(ServerProfile("there", server.url), settings=settings) as client,
        ):
            yield RemoteWorkList(client)


def _state(work_list: WorkList, uid: str) -> str:
    return text(work_list.retrieve(uid), "ProcedureStepState")


def test_a_step_is_claimed_by_one_completed_and_its_key_forgotten(
    work_list: WorkList, tmp_path: Path
) -> None:
    mine, theirs = Performer(work_list, tmp_path / "mine"), Performer(work_list, tmp_path / "theirs")
    uid = work_list.create(SCHEDULED)
    mine.claim(uid)
    with pytest.raises(DicomdockError):
        theirs.claim(uid)
    assert (mine.claims, theirs.claims) == ([uid], [])
    assert (tmp_path / "mine" / FILE).stat().st_mode & 0o077 == 0
    mine.claim(uid)  # still mine
    with pytest.raises(NotClaimed):
        theirs.complete(uid)
    mine.complete(uid, comment="two lesions")
    assert (_state(work_list, uid), mine.claims) == ("COMPLETED", [])
    (performed,) = items(work_list.retrieve(uid), "UnifiedProcedureStepPerformedProcedureSequence")
    assert text(performed, "CommentsOnThePerformedProcedureStep") == "two lesions"


def test_a_step_is_canceled_by_its_performer_and_by_others_as_the_standard_has_it(
    work_list: WorkList, tmp_path: Path
) -> None:
    mine, theirs = Performer(work_list, tmp_path / "mine"), Performer(work_list, tmp_path / "theirs")
    free, claimed = work_list.create(SCHEDULED), work_list.create(SCHEDULED)
    mine.claim(claimed)
    with pytest.raises(DicomdockError):
        theirs.cancel(claimed)  # nobody watches it
    assert mine.cancel(claimed, reason="the wrong study")
    assert theirs.cancel(free, reason="the wrong study")
    for uid in (free, claimed):
        (progress,) = items(work_list.retrieve(uid), "ProcedureStepProgressInformationSequence")
        assert text(progress, "ReasonForCancellation") == "the wrong study"
    assert mine.claims == []


class Dying:
    """A work list whose client dies around its requests, one by one."""

    def __init__(self, inner: WorkList, at: int, *, before: bool) -> None:
        self.inner, self.left, self.before = inner, at, before
        self.name = inner.name

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def retrieve(self, uid: str) -> DicomJson:
        """Return a step."""
        return self.inner.retrieve(uid)

    def update(self, uid: str, attributes: DicomJson, transaction_uid: str = "") -> None:
        """Update, and die before or after it."""
        if self.before:
            self._step()
        self.inner.update(uid, attributes, transaction_uid)
        if not self.before:
            self._step()

    def change_state(self, uid: str, state: State, transaction_uid: str) -> Sequence[str]:
        """Change the state, and die before or after it."""
        if self.before:
            self._step()
        remarks = self.inner.change_state(uid, state, transaction_uid)
        if not self.before:
            self._step()
        return remarks


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_performer_that_dies_at_any_request_goes_on_with_its_claim(
    settings: Settings, tmp_path: Path, at: int, before: bool
) -> None:
    with Archive.open(settings) as archive:
        work_list = LocalWorkList(archive)
        uid = work_list.create(SCHEDULED)
        dying = Performer(Dying(work_list, at, before=before), tmp_path)  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            dying.claim(uid)
            dying.complete(uid)
        again = Performer(work_list, tmp_path)
        if _state(work_list, uid) != "COMPLETED":
            again.claim(uid)
        again.complete(uid)
        assert (_state(work_list, uid), again.claims) == ("COMPLETED", [])


@pytest.mark.slow
def test_a_claim_that_was_not_answered_is_kept_and_one_that_was_refused_is_not(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.open(settings) as archive:
        work_list = LocalWorkList(archive)
        uid = work_list.create(SCHEDULED)
        performer = Performer(work_list, tmp_path)

        def lost(*_: object) -> Sequence[str]:
            raise Unreachable("No answer came.")

        with monkeypatch.context() as patched:
            patched.setattr(work_list, "change_state", lost)
            with pytest.raises(Unreachable):
                performer.claim(uid)
        assert performer.claims == [uid]
        Performer(work_list, tmp_path / "other").claim(uid)
        with pytest.raises(StepRefused):
            performer.claim(uid)
        assert performer.claims == []


@pytest.mark.slow
def test_a_server_is_asked_page_by_page_and_one_without_a_work_list_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "PAGE", 2)
    with Archive.open(settings) as archive, serving(archive) as server:
        local = LocalWorkList(archive)
        uids = sorted(local.create(SCHEDULED) for _ in range(5))
        with Client(ServerProfile("there", server.url), settings=settings) as client:
            remote = RemoteWorkList(client)
            for limit in (None, 1, 3, 9):
                found = [
                    text(step, "SOPInstanceUID") for step in remote.search(Query("instances", limit=limit))
                ]
                assert found == uids[:limit]
            assert list(remote.search(Query("instances", {"ProcedureStepState": "COMPLETED"}))) == []
        elsewhere = ServerProfile("there", server.url + "/none")
        with (
            Client(elsewhere, settings=settings) as none,
            pytest.raises(UnsupportedByServer, match="no work"),
        ):
            list(RemoteWorkList(none).search(Query("instances")))
