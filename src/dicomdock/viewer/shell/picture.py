"""A picture of the views to save, without the text around them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from slicer import vtkMRMLLayerDisplayableManager
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkCommand
from vtkmodules.vtkCommonDataModel import vtkImageData

GAP = 4  # pixels between two views


def pixels_of(view: Any) -> np.ndarray:
    """Draw a view without a mouse in it and return its pixels, (row, column, 3), the top row first."""
    image = vtkImageData()
    view.interactor().InvokeEvent(vtkCommand.LeaveEvent)  # takes brushes and points in hand away
    view.render_window().Render()
    vtkMRMLLayerDisplayableManager.RenderWindowBufferToImage(view.render_window(), image)
    view.interactor().InvokeEvent(vtkCommand.EnterEvent)
    columns, rows, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
    return np.ascontiguousarray(pixels[::-1, :, :3])


def png_of(views: list[Any]) -> bytes:
    """Return the views side by side, two in a row, as a PNG. Empty where there is none."""
    pictures = [Image.fromarray(pixels_of(view)) for view in views]
    if not pictures:
        return b""
    across = 1 if len(pictures) == 1 else 2
    rows = [pictures[at : at + across] for at in range(0, len(pictures), across)]
    width = max(sum(one.width for one in row) + GAP * (len(row) - 1) for row in rows)
    height = sum(max(one.height for one in row) for row in rows) + GAP * (len(rows) - 1)
    sheet = Image.new("RGB", (width, height))
    top = 0
    for row in rows:
        left = 0
        for one in row:
            sheet.paste(one, (left, top))
            left += one.width + GAP
        top += max(one.height for one in row) + GAP
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()
