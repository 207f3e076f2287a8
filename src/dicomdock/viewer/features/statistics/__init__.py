"""The statistics feature of the viewer."""
