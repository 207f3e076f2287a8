"""The measure feature of the viewer."""
