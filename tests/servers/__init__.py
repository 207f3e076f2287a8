"""Real servers on loopback for tests: each starts on demand, on free ports, in a temporary folder."""
