"""The services of the dock: what its pages ask for."""
