"""Colour tables for volumes: DICOM's well-known palettes, a rainbow, and grey.

References
----------
PS3.6 §B (Well-known Color Palettes).
"""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

HOT_IRON = "Hot iron"
RAINBOW = "Rainbow"
WELL_KNOWN: Mapping[str, UID] = {
    HOT_IRON: UID("1.2.840.10008.1.5.1"),
    "PET": UID("1.2.840.10008.1.5.2"),
    "Hot metal blue": UID("1.2.840.10008.1.5.3"),
    "PET 20 step": UID("1.2.840.10008.1.5.4"),
    "Spring": UID("1.2.840.10008.1.5.5"),
    "Summer": UID("1.2.840.10008.1.5.6"),
    "Fall": UID("1.2.840.10008.1.5.7"),
    "Winter": UID("1.2.840.10008.1.5.8"),
}
GREY = "Grey"
NAMES = (*WELL_KNOWN, RAINBOW, GREY)
BLUE = 2 / 3  # hue of the least value of a rainbow; that of the greatest is red
STEPS = 256


def colour_node(scene: Any, name: str) -> str:
    """Return the ID of the scene's colours of a name, which are added when they are first asked for."""
    if name == GREY:
        return "vtkMRMLColorTableNodeGrey"
    label = f"palette {name}"
    node = scene.GetFirstNodeByName(label)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", label)
        node.SetTypeToUser()
        node.SetNumberOfColors(STEPS)
        node.GetLookupTable().SetRange(0, STEPS - 1)
        for step, colour in enumerate(_colours(name)):
            node.SetColor(step, str(step), *colour, 1.0)
    return str(node.GetID())


@functools.cache
def gradient(name: str) -> str:
    """Return a colour table as a gradient of CSS, the least value below."""
    colours = (",".join(f"{share:.1%}" for share in colour) for colour in _colours(name))
    return f"linear-gradient(to top,{','.join(f'rgb({one})' for one in colours)})"


def coloured(grey: npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint8]:
    """Return grey of 8 bits as red, green and blue of a colour table; ``(…, 3)``."""
    table: npt.NDArray[np.uint8] = np.round(np.array(_colours(name)) * 255).astype(np.uint8)
    return table[grey]


def rainbow(share: float) -> tuple[float, float, float]:
    """Return red, green and blue, from 0 to 1, of a share of the greatest value."""
    return colorsys.hsv_to_rgb(BLUE * (1 - min(max(share, 0.0), 1.0)), 1, 1)


def _colours(name: str) -> list[tuple[float, ...]]:
    if name == RAINBOW:
        return [rainbow(step / (STEPS - 1)) for step in range(STEPS)]
    found = apply_color_lut(np.arange(STEPS, dtype=np.uint8), palette=WELL_KNOWN[name])
    return [tuple(float(part) / 255 for part in colour) for colour in found]
