"""The curved reformat feature of the viewer."""
