"""Benchmarks: dicomdock side by side with its peers, in one run, as ratios (``make bench``)."""
