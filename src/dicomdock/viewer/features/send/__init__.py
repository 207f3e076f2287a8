"""The send feature of the viewer."""
