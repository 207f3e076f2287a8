"""Work lists: Unified Procedure Steps and their states."""
