"""Who may talk to the dock."""
