"""The source images feature of the viewer."""
