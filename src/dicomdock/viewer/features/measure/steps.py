"""Steps that can be undone, and done again."""

from __future__ import annotations

from dataclasses import dataclass

from dicomdock.imaging.measurements import Measurement
from dicomdock.viewer.autosave import PlacedMeasurement

MOST_STEPS = 50  # that can be undone


@dataclass(frozen=True)
class Step:
    """What there was at a step: what lies in the images, and numbers of a report that do not."""

    placed: list[PlacedMeasurement]
    unplaced: dict[str, Measurement]


class Steps:
    """The steps up to the present one, and those that were undone."""

    def __init__(self) -> None:
        self.begin(Step([], {}))

    def begin(self, step: Step) -> None:
        """Begin anew with what there is now."""
        self._done, self._undone = [step], list[Step]()

    def add(self, step: Step) -> None:
        """Remember what there is now, where it is another than at the last step."""
        if step != self._done[-1]:
            self._done = [*self._done, step][-MOST_STEPS:]
            self._undone.clear()

    def undo(self) -> Step | None:
        """Go back; return what there was then, None where there is nothing to undo."""
        if len(self._done) < 2:
            return None
        self._undone.append(self._done.pop())
        return self._done[-1]

    def redo(self) -> Step | None:
        """Go forward again; return what there was then, None where nothing was undone."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]
