"""Uploading: files from the browser, received apart, inspected, stored in the archive and sent on."""

from __future__ import annotations

from dicomdock.dock.services.uploads.batch import Batch, Outcome
from dicomdock.dock.services.uploads.duplicates import count_on_server
from dicomdock.dock.services.uploads.inspect import InspectedFile, Issue, SeriesGroup, group_series
from dicomdock.dock.services.uploads.receive import Uploads

__all__ = [
    "Batch",
    "InspectedFile",
    "Issue",
    "Outcome",
    "SeriesGroup",
    "Uploads",
    "count_on_server",
    "group_series",
]
