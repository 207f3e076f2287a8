"""The origin server side of DICOMweb: any source published by PS3.18."""
