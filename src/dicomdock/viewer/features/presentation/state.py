"""What the page knows of presentation states."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class PresentationPageState:
    """The presentation state that is applied.

    Parameters
    ----------
    presentation_uid : its SOP Instance UID; empty for none.
    presentation_remarks : what of it is not applied, one sentence each.
    """

    presentation_uid: str = ""
    presentation_remarks: list[str] = field(default_factory=list)
