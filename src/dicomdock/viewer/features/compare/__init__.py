"""The compare feature of the viewer."""
