"""The window feature of the viewer."""
