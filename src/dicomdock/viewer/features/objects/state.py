"""What the page knows of the study's other objects."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ObjectRow:
    """An object that is not an image.

    Parameters
    ----------
    uid : of its series; of a document, model or presentation state, its own.
    name : as the user calls it.
    kind : what opens it.
    words : what it is.
    address : of a document, on this viewer.
    """

    uid: str
    name: str
    kind: str
    words: str
    address: str = ""


@dataclass
class ObjectsState:
    """The other objects.

    Parameters
    ----------
    others : what there is.
    models_shown : SOP Instance UIDs of the models that are shown.
    """

    others: list[ObjectRow] = field(default_factory=list)
    models_shown: list[str] = field(default_factory=list)
