"""File formats of other programs: NIfTI and NRRD."""
