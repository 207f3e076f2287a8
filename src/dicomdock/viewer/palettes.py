"""Colour tables for volumes that lie over others: DICOM's well-known palettes and a rainbow.

References
----------
PS3.6 §B (Well-known Color Palettes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

HOT_IRON = "Hot iron"
RAINBOW = "Rainbow"
WELL_KNOWN: Mapping[str, UID] = {
    HOT_IRON: UID("1.2.840.10008.1.5.1"),
    "PET": UID("1.2.840.10008.1.5.2"),
    "Hot metal blue": UID("1.2.840.10008.1.5.3"),
    "PET 20 step": UID("1.2.840.10008.1.5.4"),
}
SLICER: Mapping[str, str] = {
    RAINBOW: "vtkMRMLColorTableNodeReverseRainbow",
    "Grey": "vtkMRMLColorTableNodeGrey",
}
NAMES = (*WELL_KNOWN, *SLICER)
STEPS = 256


def colour_node(scene: Any, name: str) -> str:
    """Return the ID of the scene's colours of a name, which are added when they are first asked for."""
    if name in SLICER:
        return SLICER[name]
    label = f"palette {name}"
    node = scene.GetFirstNodeByName(label)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", label)
        node.SetTypeToUser()
        node.SetNumberOfColors(STEPS)
        node.GetLookupTable().SetRange(0, STEPS - 1)
        colours = apply_color_lut(np.arange(STEPS, dtype=np.uint8), palette=WELL_KNOWN[name])
        for step, colour in enumerate(colours):
            node.SetColor(step, str(step), *(float(part) / 255 for part in colour), 1.0)
    return str(node.GetID())
