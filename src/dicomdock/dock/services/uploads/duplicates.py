"""Ask a server beforehand what of the files it has already; it is not sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomdock.dock.services.uploads.inspect import SeriesGroup
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from dicomdock.sources import DicomSource


def count_on_server(source: DicomSource, group: SeriesGroup) -> int | None:
    """Count the files of a series that a server has already, by their UIDs; None where it does not say."""
    from dicomdock.transfer.listing import Unlisted, instances_of

    try:
        held = set(instances_of(source, group.resource))
    except (Unlisted, DicomdockError):
        return None
    return sum(file.resource in held for file in group.storable)
