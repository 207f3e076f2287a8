"""Uploading: files from the browser, received apart, looked at, kept in the archive and sent on."""

from __future__ import annotations

from dicomdock.dock.uploading.asking import there
from dicomdock.dock.uploading.batch import Batch, Outcome
from dicomdock.dock.uploading.looking import Looked, Lot, Trouble, lots
from dicomdock.dock.uploading.receiving import Uploads

__all__ = ["Batch", "Looked", "Lot", "Outcome", "Trouble", "Uploads", "lots", "there"]
