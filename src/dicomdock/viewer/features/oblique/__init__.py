"""The oblique feature of the viewer."""
