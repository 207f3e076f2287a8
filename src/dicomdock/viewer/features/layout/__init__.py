"""The layout feature of the viewer."""
