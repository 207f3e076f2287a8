"""The series feature of the viewer."""
