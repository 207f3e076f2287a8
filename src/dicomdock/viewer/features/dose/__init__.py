"""The dose feature of the viewer."""
