"""HTTP: requests, answers and addresses; knows nothing of DICOM."""
