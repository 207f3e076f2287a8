"""Event reports and subscriptions: which change is reported to whom, against PS3.4 CC.2.3 and CC.2.4."""

from __future__ import annotations

import json

import pytest

from dicomdock.archive.index.engine import Index
from dicomdock.dicom.json_model import DicomJson, text, value
from dicomdock.dicom.query import Query
from dicomdock.errors import InvalidInput, NotFound
from dicomdock.worklist import events, subscriptions
from dicomdock.worklist.refusals import StepRefused
from dicomdock.worklist.requirements import State
from dicomdock.worklist.store import ProcedureSteps
from dicomdock.worklist.subscribers import Subscribers
from dicomdock.worklist.subscriptions import FILTERED, GLOBAL, TooManySubscribers
from tests.worklist.test_procedure_step import CODE, FINISHED, SCHEDULED

MINE = "1.2.9"
STATIONS: DicomJson = {"00404025": {"vr": "SQ", "Value": [CODE]}}


class Listener:
    """A subscriber that reads what waits for it."""

    def __init__(self, database: Index, title: str) -> None:
        self.subscribers = Subscribers(database)
        self.title = title
        self.number = self.subscribers.begin(title)

    def heard(self) -> list[tuple[str, int, str]]:
        """Return the step, the event's type and the state of each new report."""
        waiting = self.subscribers.waiting(self.title, self.number, 1000)
        if waiting:
            self.number = waiting[-1].number
            self.subscribers.mark_sent(self.title, self.number)
        read = [json.loads(one.report) for one in waiting]
        assert all(one["00000002"]["Value"] == ["1.2.840.10008.5.1.4.34.6.1"] for one in read)
        return [
            (
                text(one, "AffectedSOPInstanceUID"),
                int(str(value(one, "EventTypeID"))),
                text(one, "ProcedureStepState"),
            )
            for one in read
        ]


def test_each_change_of_a_step_is_reported_as_the_standard_has_it(database: Index) -> None:
    steps, listener = ProcedureSteps(database), Listener(database, "MINE")
    steps.create("1.2.3", SCHEDULED)
    assert listener.heard() == []
    listener.subscribers.subscribe("MINE", "1.2.3")
    assert listener.heard() == [("1.2.3", 1, "SCHEDULED")]
    steps.update("1.2.3", {"00404041": {"vr": "CS", "Value": ["INCOMPLETE"]}})
    assert listener.heard() == [("1.2.3", 1, "SCHEDULED")]
    steps.update("1.2.3", STATIONS)
    assert listener.heard() == [("1.2.3", 5, "")]
    steps.update("1.2.3", STATIONS)
    assert listener.heard() == []
    steps.change_state("1.2.3", State.IN_PROGRESS, MINE)
    assert listener.heard() == [("1.2.3", 1, "IN PROGRESS")]
    progress: DicomJson = {"00741004": {"vr": "DS", "Value": [50]}}
    steps.update("1.2.3", {"00741002": {"vr": "SQ", "Value": [dict(progress)]}}, MINE)
    assert listener.heard() == [("1.2.3", 3, "")]
    item: DicomJson = {**progress, "00741007": {"vr": "SQ", "Value": [dict(CODE)]}}
    steps.update("1.2.3", {"00741002": {"vr": "SQ", "Value": [dict(item)]}}, MINE)  # parameters alone
    assert listener.heard() == [("1.2.3", 3, "")]
    steps.request_cancellation("1.2.3")  # its performer may hear of it now
    assert listener.heard() == [("1.2.3", 2, "")]
    assert steps.retrieve("1.2.3").state is State.IN_PROGRESS
    steps.update("1.2.3", FINISHED, MINE)
    listener.heard()
    steps.change_state("1.2.3", State.COMPLETED, MINE)
    assert listener.heard() == [("1.2.3", 1, "COMPLETED")]
    with pytest.raises(StepRefused):
        steps.request_cancellation("1.2.3")
    assert listener.heard() == []
    steps.create("1.2.4", {**SCHEDULED, **STATIONS})
    assert listener.heard() == []


def test_who_is_subscribed_to_all_steps_hears_of_new_ones_until_it_is_suspended(database: Index) -> None:
    steps, listener = ProcedureSteps(database), Listener(database, "ALL")
    steps.create("1.2.3", SCHEDULED)
    listener.subscribers.subscribe("ALL", GLOBAL)
    assert listener.heard() == []  # without a lock no report about those that are there
    listener.subscribers.subscribe("OTHER", GLOBAL, lock=True)
    assert Listener(database, "OTHER").heard() == [("1.2.3", 1, "SCHEDULED")]
    steps.create("1.2.4", {**SCHEDULED, **STATIONS})
    assert listener.heard() == [("1.2.4", 1, "SCHEDULED"), ("1.2.4", 5, "")]
    steps.request_cancellation("1.2.3")
    assert listener.heard() == [("1.2.3", 2, ""), ("1.2.3", 1, "IN PROGRESS"), ("1.2.3", 1, "CANCELED")]
    listener.subscribers.suspend("ALL")
    with pytest.raises(NotFound):
        listener.subscribers.suspend("ALL")
    steps.create("1.2.5", SCHEDULED)
    steps.change_state("1.2.4", State.IN_PROGRESS, MINE)
    assert listener.heard() == [("1.2.4", 1, "IN PROGRESS")]
    listener.subscribers.unsubscribe("ALL", GLOBAL)
    steps.update("1.2.4", {"00404041": {"vr": "CS", "Value": ["INCOMPLETE"]}}, MINE)
    assert listener.heard() == []
    # So long as anybody is subscribed to the step, its performer may be; then no longer.
    steps.request_cancellation("1.2.4")
    listener.subscribers.unsubscribe("OTHER", "1.2.4")
    with pytest.raises(StepRefused, match="cannot be notified"):
        steps.request_cancellation("1.2.4")


def _labelled(label: str, patient: str) -> DicomJson:
    values: DicomJson = {
        "00741202": {"vr": "LO", "Value": [label]},
        "00100020": {"vr": "LO", "Value": [patient]},
    }
    return {**SCHEDULED, **values}


@pytest.mark.slow
def test_who_is_subscribed_with_a_filter_hears_of_what_matches_alone(
    database: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomdock.worklist.subscribers.PAGE", 2)  # the present steps take several
    steps, listener = ProcedureSteps(database), Listener(database, "SOME")
    for number in range(1, 6):
        steps.create(f"1.2.{number}", _labelled("livers" if number % 2 else "lungs", f"P{number}"))
    livers = Query("instances", {"WorklistLabel": "liv*"})
    listener.subscribers.subscribe_filtered("SOME", livers, lock=True)
    assert [uid for uid, *_ in listener.heard()] == ["1.2.1", "1.2.3", "1.2.5"]
    steps.create("1.2.6", _labelled("lungs", "P6"))
    steps.create("1.2.7", _labelled("livers", "P7"))
    assert listener.heard() == [("1.2.7", 1, "SCHEDULED")]
    for uid in ("1.2.2", "1.2.3"):
        steps.change_state(uid, State.IN_PROGRESS, MINE)
    assert listener.heard() == [("1.2.3", 1, "IN PROGRESS")]
    both = Query("instances", {"WorklistLabel": "lungs", "PatientID": "P8"})
    listener.subscribers.subscribe_filtered("SOME", both)  # in the place of the first
    for uid, label, patient in (
        ("1.2.8", "lungs", "P8"),
        ("1.2.9", "lungs", "P9"),
        ("1.2.10", "livers", "P8"),
    ):
        steps.create(uid, _labelled(label, patient))
    assert listener.heard() == [("1.2.8", 1, "SCHEDULED")]
    listener.subscribers.subscribe("SOME", GLOBAL)
    steps.create("1.2.11", _labelled("anything", "P11"))
    assert listener.heard() == [("1.2.11", 1, "SCHEDULED")]
    listener.subscribers.subscribe_filtered("SOME", livers)
    listener.subscribers.suspend("SOME")
    steps.create("1.2.12", _labelled("livers", "P12"))
    steps.update("1.2.7", {"00404041": {"vr": "CS", "Value": ["INCOMPLETE"]}})
    assert listener.heard() == [("1.2.7", 1, "SCHEDULED")]  # that it has stays
    listener.subscribers.unsubscribe("SOME", FILTERED)
    steps.change_state("1.2.7", State.IN_PROGRESS, MINE)
    assert listener.heard() == []
    for wrong in (
        {},
        {"WorklistLabel": ""},
        {"NoSuchKeyword": "1"},
        {"ScheduledProcedureStepStartDateTime": "x"},
    ):
        with pytest.raises(InvalidInput):
            listener.subscribers.subscribe_filtered("SOME", Query("instances", wrong))
    steps.create("1.2.13", _labelled("livers", "P13"))
    assert listener.heard() == []


def test_a_filter_is_compared_again_when_a_step_changes(database: Index) -> None:
    steps, listener = ProcedureSteps(database), Listener(database, "SOME")
    steps.create("1.2.1", _labelled("lungs", "P1"))
    mine = "ScheduledStationNameCodeSequence.CodeValue"
    listener.subscribers.subscribe_filtered("SOME", Query("instances", {mine: "T1"}))
    steps.create("1.2.2", _labelled("lungs", "P2"))
    assert listener.heard() == []
    station: DicomJson = {**CODE, "00080100": {"vr": "SH", "Value": ["T1"]}}
    assigned: DicomJson = {"00404025": {"vr": "SQ", "Value": [dict(station)]}}
    steps.update("1.2.1", assigned)
    assert listener.heard() == [("1.2.1", 1, "SCHEDULED")]
    steps.update("1.2.1", STATIONS)  # it matches no more; the subscription to it stays, as any other
    assert listener.heard() == [("1.2.1", 5, "")]
    listener.subscribers.unsubscribe("SOME", "1.2.1")
    steps.update("1.2.2", assigned)
    assert listener.heard() == [("1.2.2", 1, "SCHEDULED")]
    listener.subscribers.unsubscribe("SOME", "1.2.2")
    steps.change_state("1.2.2", State.IN_PROGRESS, MINE)  # it matched before: who has left it stays away
    assert listener.heard() == []
    claimed = Query("instances", {"ProcedureStepState": "IN PROGRESS"})
    listener.subscribers.subscribe_filtered("SOME", claimed)
    steps.change_state("1.2.1", State.IN_PROGRESS, MINE)
    assert listener.heard() == [("1.2.1", 1, "IN PROGRESS")]
    listener.subscribers.suspend("SOME")
    steps.create("1.2.3", _labelled("lungs", "P3"))
    steps.change_state("1.2.3", State.IN_PROGRESS, MINE)
    assert listener.heard() == []


@pytest.mark.slow
def test_what_was_not_sent_waits_and_what_waits_is_bounded(
    database: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "MAX_WAITING", 5)
    steps = ProcedureSteps(database)
    subscribers = Subscribers(database)
    subscribers.subscribe("AWAY", GLOBAL)
    for number in range(9):
        steps.create(f"1.2.{number}", SCHEDULED)
    again = Listener(database, "AWAY")
    assert [uid for uid, _, _ in again.heard()] == [f"1.2.{number}" for number in range(4, 9)]
    assert Listener(database, "AWAY").heard() == []
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIBERS", 1)
    with pytest.raises(TooManySubscribers):
        subscribers.subscribe("ONE MORE", "1.2.1")
    subscribers.unsubscribe("AWAY", GLOBAL)
    subscribers.subscribe("ONE MORE", "1.2.1")
    subscribers.unsubscribe("ONE MORE", "1.2.1")
    subscribers.subscribe("ANOTHER", "1.2.1")


def test_a_report_is_small_whatever_the_progress_says(database: Index) -> None:
    steps = ProcedureSteps(database)
    steps.create("1.2.3", SCHEDULED)
    steps.change_state("1.2.3", State.IN_PROGRESS, MINE)
    listener = Listener(database, "MINE")
    listener.subscribers.subscribe("MINE", "1.2.3")
    listener.heard()
    long: DicomJson = {"00741006": {"vr": "ST", "Value": ["x" * (1 << 17)]}}
    steps.update("1.2.3", {"00741002": {"vr": "SQ", "Value": [dict(long)]}}, MINE)
    (one,) = listener.subscribers.waiting("MINE", listener.number, 9)
    assert len(one.report) < events.MAX_REPORT
    assert listener.heard() == [("1.2.3", 3, "")]


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\B", "A\nB", "Ä"])
def test_an_ae_title_is_one_of_the_standard(database: Index, title: str) -> None:
    with pytest.raises(InvalidInput):
        Subscribers(database).subscribe(title, GLOBAL)
