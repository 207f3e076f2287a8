"""The volume feature of the viewer."""
