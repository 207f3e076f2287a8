"""The Unified Procedure Step's states, against PS3.4 Table CC.1.1-2 written out, and in random order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom.dictionary import tag_and_vr
from dicomdock.dicom.json_model import DicomJson, items, text
from dicomdock.errors import InvalidInput
from dicomdock.worklist.procedure_step import (
    Outcome,
    ProcedureStep,
    change_state,
    create,
    request_cancellation,
    reschedule,
    update,
)
from dicomdock.worklist.refusals import Reason, Remark, StepRefused
from dicomdock.worklist.requirements import State, missing_for

MINE, OTHER = "1.2.3.4", "1.2.3.5"
NOW, LATER = "20260102030405", "20260102030406"
CODE = {
    "00080100": {"vr": "SH", "Value": ["1"]},
    "00080102": {"vr": "SH", "Value": ["99TEST"]},
    "00080104": {"vr": "LO", "Value": ["test"]},
}
SCHEDULED: DicomJson = {
    "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
    "00741200": {"vr": "CS", "Value": ["MEDIUM"]},
    "00741204": {"vr": "LO", "Value": ["segment the liver"]},
    "00404005": {"vr": "DT", "Value": [NOW]},
    "00404041": {"vr": "CS", "Value": ["READY"]},
    "00741002": {"vr": "SQ"},
    "00741216": {"vr": "SQ"},
}
PERFORMED: DicomJson = {
    "00404028": {"vr": "SQ", "Value": [CODE]},
    "00404050": {"vr": "DT", "Value": [NOW]},
    "00404019": {"vr": "SQ", "Value": [CODE]},
    "00404051": {"vr": "DT", "Value": [NOW]},
    "00404033": {"vr": "SQ"},  # it may have no items
}
FINISHED: DicomJson = {
    "00741216": {"vr": "SQ", "Value": [dict(PERFORMED)]},
    "00741002": {"vr": "SQ", "Value": [{"0074100E": {"vr": "SQ", "Value": [CODE]}}]},
}


def _step(state: State, *, finished: bool = True) -> ProcedureStep:
    step = create("1.2.3", SCHEDULED, NOW)
    if state is State.SCHEDULED:
        return step
    step = change_state(step, State.IN_PROGRESS, MINE, NOW).step
    step = update(step, FINISHED, MINE, NOW) if finished else step
    return step if state is State.IN_PROGRESS else change_state(step, state, MINE, NOW).step


def _answer(request: Callable[[], Outcome]) -> Reason | Remark | tuple[State, ...]:
    try:
        outcome = request()
    except StepRefused as error:
        return error.reason
    return outcome.remark or outcome.passed


ALL = list(State)
GO, DONE, STOP = State.IN_PROGRESS, State.COMPLETED, State.CANCELED
C301 = Reason.WRONG_TRANSACTION_UID
# In the order of the standard's columns: SCHEDULED, IN PROGRESS, COMPLETED, CANCELED.
CORRECT = {
    State.SCHEDULED: ["C303"] * 4,
    GO: [(GO,), "C302", "C300", "C300"],
    DONE: ["C310", (DONE,), "B306", "C300"],
    STOP: ["C310", (STOP,), "C300", "B304"],
}


@pytest.mark.parametrize("wanted", ALL)
def test_the_right_transaction_uid_does_what_the_standards_table_says(wanted: State) -> None:
    assert [_answer(lambda at=at: change_state(_step(at), wanted, MINE, NOW)) for at in ALL] == CORRECT[
        wanted
    ]


@pytest.mark.parametrize("wanted", [GO, DONE, STOP])
@pytest.mark.parametrize("uid", ["", OTHER])
def test_another_transaction_uid_is_refused_in_each_state(wanted: State, uid: str) -> None:
    for at in ALL[1:]:
        assert _answer(lambda at=at: change_state(_step(at), wanted, uid, NOW)) == C301
    assert _answer(lambda: change_state(_step(State.SCHEDULED), wanted, "", NOW)) == C301


def test_a_request_to_cancel_does_what_the_standards_table_says() -> None:
    answers = [
        _answer(lambda at=at: request_cancellation(_step(at, finished=at.is_final), NOW)) for at in ALL
    ]
    assert answers == [(GO, STOP), "C312", "C311", "B304"]
    canceled = request_cancellation(_step(State.SCHEDULED, finished=False), NOW).step
    assert canceled.state is STOP
    assert missing_for(canceled.attributes, STOP) == []
    reason: DicomJson = {"00741238": {"vr": "LT", "Value": ["a duplicate"]}, "00741204": {"vr": "LO"}}
    canceled = request_cancellation(_step(State.SCHEDULED, finished=False), NOW, reason).step
    (progress,) = items(canceled.attributes, "ProcedureStepProgressInformationSequence")
    assert text(progress, "ReasonForCancellation") == "a duplicate"
    assert text(canceled.attributes, "ProcedureStepLabel") == "segment the liver"


@pytest.mark.parametrize("tag", list(PERFORMED))
def test_nothing_is_completed_without_what_the_final_state_requires(tag: str) -> None:
    performed = {other: value for other, value in PERFORMED.items() if other != tag}
    step = _step(GO, finished=False)
    step = update(step, {"00741216": {"vr": "SQ", "Value": [performed]}}, MINE, NOW)
    with pytest.raises(StepRefused, match="requires") as refused:
        change_state(step, DONE, MINE, NOW)
    assert refused.value.reason is Reason.FINAL_STATE_REQUIREMENTS
    assert len(refused.value.missing) == 1


def test_a_step_is_canceled_with_a_reason_and_the_time_is_filled_in() -> None:
    assert _answer(lambda: change_state(_step(GO, finished=False), STOP, MINE, NOW)) == "C304"
    canceled = change_state(_step(GO), STOP, MINE, NOW).step
    assert canceled.attributes["00741002"]["Value"][0]["00404052"]["Value"] == [NOW]  # type: ignore[index, call-overload]


def test_an_update_needs_the_transaction_uid_and_leaves_the_state() -> None:
    label: DicomJson = {"00741204": {"vr": "LO", "Value": ["liver"]}}
    assert text(update(_step(State.SCHEDULED), label, "", LATER).attributes, "ProcedureStepLabel") == "liver"
    assert text(update(_step(GO), label, MINE, LATER).attributes, "ProcedureStepLabel") == "liver"
    modified = update(_step(GO), label, MINE, LATER)
    assert text(modified.attributes, "ScheduledProcedureStepModificationDateTime") == LATER
    for at, uid, reason in [
        (State.SCHEDULED, MINE, "C301"),
        (GO, OTHER, "C301"),
        (GO, "", "C301"),
        (DONE, MINE, "C300"),
    ]:
        with pytest.raises(StepRefused) as refused:
            update(_step(at), label, uid, LATER)
        assert refused.value.reason == reason
    with pytest.raises(InvalidInput):
        update(_step(GO), {"00741000": {"vr": "CS", "Value": ["COMPLETED"]}}, MINE, LATER)


@pytest.mark.slow
def test_the_status_codes_are_those_of_another_program() -> None:
    table = pytest.importorskip("pynetdicom.status").UNIFIED_PROCEDURE_STEP_SERVICE_CLASS_STATUS
    words = {
        Reason.NO_LONGER_UPDATABLE: "may no longer be updated",
        Reason.WRONG_TRANSACTION_UID: "correct Transaction UID was not provided",
        Reason.ALREADY_IN_PROGRESS: "already IN PROGRESS",
        Reason.SCHEDULED_BY_CREATION_ONLY: "only become SCHEDULED via N-CREATE",
        Reason.FINAL_STATE_REQUIREMENTS: "not met final state requirements",
        Reason.NOT_IN_PROGRESS: "not yet in the IN PROGRESS state",
        Reason.ALREADY_COMPLETED: "already COMPLETED",
        Reason.NOBODY_TO_NOTIFY: "performer cannot be contacted",
        Remark.ALREADY_CANCELED: "already in the requested state of CANCELED",
        Remark.ALREADY_COMPLETED: "already in the requested state of COMPLETED",
    }
    assert set(words) == {*Reason, *Remark}
    for code, said in words.items():
        assert said in table[int(code, 16)][1]


@pytest.mark.parametrize("bad", ["", "FINISHED", "IN PROGRESS"])
def test_a_new_step_is_scheduled(bad: str) -> None:
    with pytest.raises(InvalidInput):
        create("1.2.3", {**SCHEDULED, "00741000": {"vr": "CS", "Value": [bad]}}, NOW)


@pytest.mark.parametrize("tag", ["00741200", "00741204", "00404005", "00404041"])
def test_a_new_step_has_what_the_standard_requires(tag: str) -> None:
    with pytest.raises(InvalidInput, match="values of"):
        create("1.2.3", {**SCHEDULED, tag: {"vr": SCHEDULED[tag]["vr"]}}, NOW)  # type: ignore[index, call-overload]


@pytest.mark.parametrize("tag", list(FINISHED))
def test_a_new_step_has_neither_progress_nor_results(tag: str) -> None:
    with pytest.raises(InvalidInput, match="no items"):
        create("1.2.3", {**SCHEDULED, tag: FINISHED[tag]}, NOW)


def test_a_new_step_is_on_a_work_list_that_has_a_label() -> None:
    assert text(create("1.2.3", SCHEDULED, NOW).attributes, "WorklistLabel") == "dicomdock"
    named: DicomJson = {"00741202": {"vr": "LO", "Value": ["liver"]}}
    assert text(create("1.2.3", {**SCHEDULED, **named}, NOW).attributes, "WorklistLabel") == "liver"


@pytest.mark.parametrize(("tag", "value"), [("00741200", "STAT"), ("00404041", "MAYBE")])
def test_an_enumerated_value_is_one_of_the_standard(tag: str, value: str) -> None:
    right = SCHEDULED[tag]["Value"][0]  # type: ignore[index, call-overload]
    for several in ([value], [right, right]):
        wrong: DicomJson = {tag: {"vr": "CS", "Value": several}}
        with pytest.raises(InvalidInput, match=" or "):
            create("1.2.3", {**SCHEDULED, **wrong}, NOW)
        with pytest.raises(InvalidInput, match=" or "):
            update(_step(GO), wrong, MINE, NOW)


# Those that dcm4chee-arc refuses in an N-SET too, where the standard has "Not allowed".
NOT_SET = [
    "PatientName",
    "PatientID",
    "PatientSex",
    "ReferencedRequestSequence",
    "ReplacedProcedureStepSequence",
]


@pytest.mark.parametrize("keyword", NOT_SET)
def test_an_update_leaves_what_only_the_creation_sets(keyword: str) -> None:
    tag, vr = tag_and_vr(keyword)
    first, other = ([CODE], [{}]) if vr == "SQ" else (["A"], ["B"])
    step = create("1.2.3", {**SCHEDULED, tag: {"vr": vr, "Value": [*first]}}, NOW)
    assert update(step, {tag: {"vr": vr, "Value": [*first]}}, "", NOW).attributes == step.attributes
    for changed in ({"vr": vr, "Value": [*other]}, {"vr": vr}):
        with pytest.raises(InvalidInput, match=keyword):
            update(step, {tag: changed}, "", NOW)


def test_an_update_empties_nothing_that_keeps_its_value() -> None:
    """Type 1 of N-SET in PS3.4 Table CC.2.5-3; what has no value may be sent back as it is."""
    for keyword in (
        "WorklistLabel",
        "ExpectedCompletionDateTime",
        "ScheduledWorkitemCodeSequence",
        "CommentsOnTheScheduledProcedureStep",
    ):
        tag, vr = tag_and_vr(keyword)
        value = CODE if vr == "SQ" else "20260102" if vr == "DT" else "A"
        step = create("1.2.3", {**SCHEDULED, tag: {"vr": vr, "Value": [value]}}, NOW)
        with pytest.raises(InvalidInput, match=keyword):
            update(step, {tag: {"vr": vr}}, "", NOW)
        if keyword != "WorklistLabel":
            update(create("1.2.3", {**SCHEDULED, tag: {"vr": vr}}, NOW), {tag: {"vr": vr}}, "", NOW)


@pytest.mark.parametrize("tag", ["00741200", "00741204", "00404005", "00404041"])
def test_an_update_removes_nothing_that_a_step_always_has(tag: str) -> None:
    with pytest.raises(InvalidInput, match="remove"):
        update(_step(GO), {tag: {"vr": SCHEDULED[tag]["vr"]}}, MINE, NOW)  # type: ignore[index, call-overload]


def test_the_transaction_uid_appears_nowhere() -> None:
    secret = "2.25.314159265358979"
    step = change_state(_step(State.SCHEDULED), GO, secret, NOW).step
    step = update(step, {"00081195": {"vr": "UI", "Value": [secret]}}, secret, LATER)
    assert secret not in repr(step)
    assert secret not in step.lock
    with pytest.raises(InvalidInput) as refused:
        change_state(_step(State.SCHEDULED), GO, "no uid: " + secret, NOW)
    assert secret not in str(refused.value)


def test_an_abandoned_step_is_canceled_and_another_one_replaces_it() -> None:
    patient: DicomJson = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}}
    step = change_state(create("1.2.3", {**SCHEDULED, **patient}, NOW), GO, MINE, NOW).step
    step = update(step, FINISHED, MINE, NOW)
    canceled, scheduled = reschedule(step, "1.2.4", "its performer was silent.", LATER)
    assert (canceled.state, missing_for(canceled.attributes, STOP)) == (STOP, [])
    assert canceled.attributes["00741216"] == FINISHED["00741216"]  # what was done so far is not lost
    (progress,) = items(canceled.attributes, "ProcedureStepProgressInformationSequence")
    assert text(items(progress, "ProcedureStepDiscontinuationReasonCodeSequence")[0], "CodeValue") == "110528"
    assert (scheduled.state, scheduled.lock) == (State.SCHEDULED, "")
    (replaced,) = items(scheduled.attributes, "ReplacedProcedureStepSequence")
    assert text(replaced, "ReferencedSOPInstanceUID") == "1.2.3"
    left = {**SCHEDULED, **patient}.keys() - {"00741002", "00741216"}
    assert {tag: scheduled.attributes[tag] for tag in left} == {
        tag: step.attributes[tag] for tag in left - {"00741000"}
    } | {"00741000": SCHEDULED["00741000"]}
    for request in (
        lambda: change_state(canceled, DONE, MINE, LATER),
        lambda: update(canceled, {}, MINE, LATER),
    ):
        with pytest.raises(
            StepRefused, match=r"no longer be updated\. It was canceled: its performer was silent"
        ):
            request()


REQUESTS = st.lists(
    st.tuples(st.sampled_from(["cancel", "update", *ALL]), st.sampled_from(["", MINE, OTHER])), max_size=12
)


@pytest.mark.slow
@given(REQUESTS)
def test_whatever_is_asked_for_a_step_only_moves_forward_and_has_one_owner(
    requests: list[tuple[str, str]],
) -> None:
    order = {State.SCHEDULED: 0, GO: 1, DONE: 2, STOP: 2}
    step, owner = _step(State.SCHEDULED), ""
    for request, uid in requests:
        before = step
        try:
            if request == "cancel":
                step = request_cancellation(step, NOW).step
            elif request == "update":
                step = update(step, FINISHED, uid, LATER)
            else:
                step = change_state(step, State(request), uid, NOW).step
        except StepRefused:
            assert step is before
            continue
        assert step.state is before.state or order[step.state] > order[before.state]
        if before.state.is_final:
            assert step == before
        if before.state is GO and step != before:
            assert uid == owner
        if before.state is State.SCHEDULED and step.state is GO:
            owner = uid
        if step.state.is_final:
            assert missing_for(step.attributes, step.state) == []
