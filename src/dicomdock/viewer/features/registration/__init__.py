"""The registration feature of the viewer: by hand, and by landmarks."""
