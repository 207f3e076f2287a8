"""The fusion feature of the viewer."""
