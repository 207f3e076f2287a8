"""The overlays feature of the viewer."""
