"""The contract of DicomSource, run on every kind of source."""
