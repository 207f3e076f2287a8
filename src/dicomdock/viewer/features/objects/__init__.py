"""The objects feature of the viewer."""
