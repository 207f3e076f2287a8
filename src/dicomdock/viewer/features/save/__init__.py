"""The save feature of the viewer."""
