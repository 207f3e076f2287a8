"""Values of the DICOM standard, without I/O."""
