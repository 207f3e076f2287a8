"""The dock: the per-user service on loopback, its pages, links, transfers and viewers."""
