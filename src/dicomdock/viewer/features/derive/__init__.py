"""The derive feature of the viewer."""
