"""What the page knows of overlays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class OverlaysState:
    """Overlays of the shown images.

    Parameters
    ----------
    has_overlays : the images have some.
    overlays_shown : they are drawn.
    """

    has_overlays: bool = False
    overlays_shown: bool = True
