"""The prior studies feature of the viewer."""
