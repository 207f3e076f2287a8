"""Who may talk to the dock, and what its pages may do."""
