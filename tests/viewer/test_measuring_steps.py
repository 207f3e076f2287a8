"""Steps of measuring that are undone and done again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicomdock.imaging.measurements import Measurement
from dicomdock.viewer.features.measure.steps import Step, Steps


def step(number: int) -> Step:
    return Step([], {str(number): Measurement(str(number))})


@given(st.lists(st.integers(1, 40), max_size=30, unique=True), st.integers(0, 30))
def test_what_was_undone_is_done_again_until_something_else_is_done(numbers: list[int], back: int) -> None:
    steps, there = Steps(), [Step([], {}), *map(step, numbers)]
    for one in there[1:]:
        steps.add(one)
        steps.add(one)  # which changes nothing
    back = min(back, len(numbers))
    assert [steps.undo() for _ in range(back)] == there[::-1][1 : back + 1]
    assert [steps.redo() for _ in range(back)] == there[len(there) - back :]
    assert steps.redo() is None
    undone = steps.undo()
    assert undone == (there[-2] if numbers else None)
    steps.add(step(99))
    assert steps.redo() is None
    assert steps.undo() == (undone or there[0])
