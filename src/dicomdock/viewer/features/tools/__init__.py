"""The tools feature of the viewer."""
