"""The state machine of a case as a pure function, over many walks."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.project import transitions
from dicomdock.project.model import Case, CaseRefused, CaseState, Project, Task, check_note, key_of, name_of
from tests.project.conftest import result

PEOPLE = ("anna", "bert", "rita")
REQUESTS = ("take", "submit", "accept", "send back", "release", "assign", "withdraw")
AFTER = {
    CaseState.OPEN: {CaseState.OPEN, CaseState.TAKEN},
    CaseState.TAKEN: {CaseState.TAKEN, CaseState.OPEN, CaseState.SUBMITTED, CaseState.DONE},
    CaseState.SUBMITTED: {CaseState.SUBMITTED, CaseState.IN_REVIEW},
    CaseState.IN_REVIEW: {CaseState.IN_REVIEW, CaseState.SUBMITTED, CaseState.OPEN, CaseState.DONE},
    CaseState.DONE: {CaseState.DONE},
}


def project(*, review: bool) -> Project:
    return Project("p", Task("t"), annotators=PEOPLE, reviewers=("rita",), annotations=2, review=review)


def ask(request: str, case: Case, rules: Project, person: str, others: list[Case]) -> Case:
    if request == "take":
        return transitions.take(case, rules, person, others)
    if request == "submit":
        return transitions.submit(case, rules, person, result())
    if request == "send back":
        return transitions.send_back(case, rules, person, "once more")
    if request == "assign":
        return transitions.assign(case, rules, person, others)
    if request == "withdraw":
        return transitions.withdraw(case, rules)
    return {"accept": transitions.accept, "release": transitions.release}[request](case, rules, person)


@pytest.mark.slow
@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(REQUESTS), st.sampled_from(PEOPLE), st.integers(0, 1)), max_size=40),
)
def test_no_walk_leaves_the_rules(review: bool, walk: list[tuple[str, str, int]]) -> None:
    rules = project(review=review)
    cases = [Case(1, slot, Resource("1.2", "1.3")) for slot in (1, 2)]
    for request, person, at in walk:
        case, other = cases[at], cases[1 - at]
        try:
            changed = ask(request, case, rules, person, [other])
        except CaseRefused as refused:
            assert str(refused).endswith(".")
            continue
        assert changed.state in AFTER[case.state]
        if request in ("submit", "release", "accept", "send back"):
            assert person in (case.person, case.reviewer)  # nobody does anything with another's case
        if changed.state in (CaseState.IN_REVIEW, CaseState.SUBMITTED):
            assert review
            assert changed.result is not None
            assert changed.reviewer != changed.person
        if changed.state is CaseState.DONE:
            assert changed.result is not None
            assert bool(changed.reviewer) == review
        cases[at] = changed
        holders = [one.person for one in cases if one.person]
        assert len(holders) == len(set(holders))


@pytest.mark.slow
@given(st.integers(1, 10**6), st.integers(1, 26), st.integers(1, 26))
def test_a_case_is_found_by_its_name(number: int, slot: int, annotations: int) -> None:
    rules = replace(project(review=False), annotations=annotations)
    case = Case(number, slot if annotations > 1 else 1, Resource("1.2"))
    assert key_of(name_of(case, rules), rules) == case.key


@pytest.mark.slow
@given(st.text(max_size=12))
def test_what_is_not_a_name_of_a_case_is_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        number, slot = key_of(text, project(review=False))
        assert (number >= 1, 1 <= slot <= 26) == (True, True)


@pytest.mark.slow
@given(st.text(max_size=2000))
def test_a_project_is_read_as_it_was_written(text: str) -> None:
    rules = replace(project(review=True), task=Task(text, text))
    assert Project.from_json(rules.to_json()) == rules
    with contextlib.suppress(InvalidInput):
        assert check_note(text) == text.strip() != ""


def test_a_case_that_came_free_after_it_was_sent_back_stays_with_its_annotator() -> None:
    rules = project(review=True)
    case = transitions.take(Case(1, 1, Resource("1.2", "1.3")), rules, "anna", [])
    case = transitions.take(transitions.submit(case, rules, "anna", result()), rules, "rita", [])
    case = transitions.take(transitions.send_back(case, rules, "rita", "More."), rules, "anna", [])
    freed = transitions.freed(case)
    with pytest.raises(CaseRefused, match="assigned to anna"):
        transitions.take(freed, rules, "bert", [])
    given_away = transitions.assign(freed, rules, "bert", [])
    assert transitions.take(given_away, rules, "bert", []).note == "More."
