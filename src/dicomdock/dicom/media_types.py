"""The media types of DICOMweb.

References
----------
PS3.18 §8.7.3.
"""

from __future__ import annotations

from typing import Final

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
OCTETS: Final = "application/octet-stream"


def in_transfer_syntax(media_type: str, transfer_syntax: str) -> str:
    """Return a media type with the transfer syntax of its content; without one where it is not known."""
    return f"{media_type}; transfer-syntax={transfer_syntax}" if transfer_syntax else media_type
