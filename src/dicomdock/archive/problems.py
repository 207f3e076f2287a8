"""The errors that several parts of the archive raise, each worded once."""

from __future__ import annotations

from collections.abc import Sequence

from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, NotInArchive


def not_in_archive(resource: Resource) -> NotInArchive:
    """Return the error for a resource that the archive does not have."""
    return NotInArchive(f"{resource} is not in the local archive.")


def damaged_error(damaged: Sequence[Resource]) -> ArchiveError:
    """Return the error that names instances whose files are not what was stored."""
    names = ", ".join(map(str, damaged[:3])) + (", ..." if len(damaged) > 3 else "")
    number = "1 instance is" if len(damaged) == 1 else f"{len(damaged)} instances are"
    return ArchiveError(
        f"{number} damaged or missing in the archive: {names}. "
        "Retrieve or import the same instances again to restore them; 'dicomdock verify' lists all."
    )
