"""Where the bytes of instances are stored."""
