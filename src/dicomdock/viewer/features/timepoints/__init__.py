"""The time points feature of the viewer."""
