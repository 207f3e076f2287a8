"""Uploading: files from the browser, received apart, looked at, kept in the archive and sent on."""

from __future__ import annotations

from dicomdock.dock.services.uploads.batch import Batch, Outcome
from dicomdock.dock.services.uploads.duplicates import there
from dicomdock.dock.services.uploads.inspect import Looked, Lot, Trouble, lots
from dicomdock.dock.services.uploads.receive import Uploads

__all__ = ["Batch", "Looked", "Lot", "Outcome", "Trouble", "Uploads", "lots", "there"]
