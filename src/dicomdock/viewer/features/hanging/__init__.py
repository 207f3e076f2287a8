"""The hanging rules of the viewer."""
