"""Links from other programs: read, trusted, registered with the system and handed to the running dock."""
