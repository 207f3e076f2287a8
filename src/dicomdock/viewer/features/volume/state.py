"""What the page knows of volume rendering."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class VolumeState:
    """Volume rendering.

    Parameters
    ----------
    rendering : the volume is drawn.
    render_preset : how; one of ``render_presets``.
    turning : the 3D view turns about the head.
    """

    rendering: bool = False
    render_preset: str = "MR-Default"
    render_presets: list[str] = field(default_factory=list)
    turning: bool = False
