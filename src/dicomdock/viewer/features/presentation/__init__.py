"""The presentation feature of the viewer."""
