"""What the page knows of key images."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KeyImageRow:
    """An image that a Key Object Selection selects.

    Parameters
    ----------
    name : what the list calls it.
    series, instance : UIDs.
    frame : 1-based.
    """

    name: str
    series: str
    instance: str
    frame: int


@dataclass
class KeyImagesState:
    """The selection that is open.

    Parameters
    ----------
    key_images : its images; ``key_image_at`` is the one that was chosen.
    key_image_at : number in the list; -1 for none.
    """

    key_images: list[KeyImageRow] = field(default_factory=list)
    key_image_at: int = -1
