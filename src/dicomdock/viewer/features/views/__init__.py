"""The views feature of the viewer."""
