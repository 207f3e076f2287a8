"""What the page knows of the views."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicomdock.viewer.features.layout.layouts import FOUR_VIEWS, LISTED

USUAL_RATE = 15  # slices a second, where the images define none


@dataclass
class ViewsState:
    """What holds for all views.

    Parameters
    ----------
    layout : the name of the one that is shown; ``layouts`` are those that are listed by name.
    words_shown : text is shown in the corners.
    crosshair : the crosshair is shown.
    slab : thickness in mm, 0 for none; ``slab_kind`` is ``max``, ``min`` or ``mean``.
    aligned : slices lie along the images' own planes.
    threed_note : what the 3D view is doing.
    left : what a drag with the left button does: ``window``, fit it to a ``region``, ``move``, ``zoom``,
        ``scroll``.
    lines : each slice view shows where the others cut it.
    handles : these lines have handles, by which the planes of the others are moved and turned.
    playable : a slice view that is seen has more than one slice.
    cross_view : the view with the cross that keys move; empty for none. ``cross_place`` is where, as CSS.
    """

    layout: str = FOUR_VIEWS
    layouts: list[str] = field(default_factory=lambda: list(LISTED))
    words_shown: bool = True
    crosshair: bool = False
    slab: float = 0
    slab_kind: str = "max"
    aligned: bool = True
    threed_note: str = ""
    left: str = "window"
    lines: bool = False
    handles: bool = False
    playable: bool = False
    cross_view: str = ""
    cross_place: str = ""


@dataclass
class SliceViewState:
    """What holds for one slice view; its tag is before each name.

    Parameters
    ----------
    at : the slice that is shown, from 0, of ``count``.
    arrival : CSS gradient of the slices that have arrived; empty when all have.
    tl, tr, bl, br : text in the corners.
    palette : the colours of its values as a gradient of CSS, the least value below; empty for shades of grey.
    highest, lowest : the values at the ends of the palette, as text.
    left, right, top, bottom : letters of the patient's directions at the edges.
    written : number of the scene's state that the text is of, as of when the page asked last.
    """

    at: int = 0
    count: int = 1
    arrival: str = ""
    tl: str = ""
    tr: str = ""
    bl: str = ""
    br: str = ""
    palette: str = ""
    highest: str = ""
    lowest: str = ""
    left: str = ""
    right: str = ""
    top: str = ""
    bottom: str = ""
    written: int = -1


@dataclass
class CineState:
    """Playing the slices.

    Parameters
    ----------
    playing : they are played.
    play_rate : slices a second.
    rate_words : by what that rate was chosen, as a sentence.
    """

    playing: bool = False
    play_rate: float = USUAL_RATE
    rate_words: str = ""
