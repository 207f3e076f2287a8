"""The segments feature of the viewer."""
