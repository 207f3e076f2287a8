"""What the codes of the active segment say, so that a name that takes them away is seen."""

from __future__ import annotations

from typing import Any

from dicomdock.imaging.terminology import Terminology
from dicomdock.viewer.features.segments.state import SegmentsState
from dicomdock.viewer.page_state import PageState


class Codes:
    """Shows the structure that the active segment is coded as.

    Parameters
    ----------
    editor : trame-slicer's segment editor.
    state : of the segmentation.
    """

    def __init__(self, editor: Any, state: PageState[SegmentsState]) -> None:
        self._editor, self._state = editor, state
        for signal in (editor.active_segment_id_changed, editor.segmentation_modified):
            signal.connect(self._show)

    def _show(self, *_: Any) -> None:
        properties = self._editor.get_segment_properties(self._editor.get_active_segment_id())
        found = Terminology.from_slicer(properties.terminology_tag if properties is not None else "")
        words = "" if found == Terminology() else found.words
        if words != self._state.data.coded:
            with self._state as data:
                data.coded = words
