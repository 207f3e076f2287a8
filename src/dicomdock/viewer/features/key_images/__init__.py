"""The key images feature of the viewer."""
