"""The errors that several parts of the archive raise, each worded once."""

from __future__ import annotations

from dicomdock.dicom.resource import Resource
from dicomdock.errors import NotInArchive


def not_in_archive(resource: Resource) -> NotInArchive:
    """Return the error for a resource that the archive does not have."""
    return NotInArchive(f"{resource} is not in the local archive.")
