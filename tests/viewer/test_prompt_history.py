"""Whatever is done between prompts, the server begins the next one with the segment as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.imaging.segmentation import Mask

# The viewer's modules are imported by the tests: to import 3D Slicer's engine costs seconds in each worker.
pytestmark = pytest.mark.viewer

WHOLE = (1, 1, 8)


class Session:
    """A server that remembers the segment, and can take prompts back as often as it is set to."""

    def __init__(self, undos: int) -> None:
        self.past: list[np.ndarray] = []
        self.target = np.zeros(WHOLE, bool)
        self.undos = undos

    def begin(self, mask: np.ndarray) -> None:
        self.target, self.past = mask.copy(), []

    def add(self, at: int) -> None:
        self.past.append(self.target)
        self.target = self.target.copy()
        self.target[0, 0, at] ^= True

    def undo(self) -> bool:
        if not self.past or not self.undos:
            return False
        self.undos -= 1
        self.target = self.past.pop()
        return True


steps = st.tuples(st.sampled_from(["prompt", "paint", "undo", "redo"]), st.integers(0, 7))


@given(st.lists(steps, max_size=20), st.integers(0, 20))
def test_the_server_knows_the_segment_at_each_prompt(viewer_installed, actions, undos):
    from dicomdock.viewer.features.prompts.logic import Dialogue, agree

    session = Session(undos)
    dialogue = Dialogue("", session)  # type: ignore[arg-type]
    segment, done, undone = np.zeros(WHOLE, bool), [], []
    for action, at in actions:
        if action in ("prompt", "paint"):
            done.append(segment)
            undone.clear()
        if action == "prompt":
            now = Mask.of(segment)
            if not agree(dialogue, now):
                session.begin(segment)
                dialogue.masks = [now]
            np.testing.assert_array_equal(session.target, segment)
            session.add(at)
            segment = session.target.copy()
            dialogue.masks.append(Mask.of(segment))
        elif action == "paint":
            segment = segment.copy()
            segment[0, 0, at] = True
        elif action == "undo" and done:
            undone.append(segment)
            segment = done.pop()
        elif action == "redo" and undone:
            done.append(segment)
            segment = undone.pop()
