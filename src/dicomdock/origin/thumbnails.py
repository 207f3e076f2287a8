"""Thumbnails of series on disk, made once, for the dock's pages and the viewer's."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dicomdock.config.home import make_folders
from dicomdock.dicom.resource import Resource
from dicomdock.origin.context import instance_on_disk
from dicomdock.origin.rendered import THUMBNAIL, representative
from dicomdock.origin.rendering import render
from dicomdock.origin.view import View
from dicomdock.sources import DicomSource

MAX_BYTES = 1 << 20
JPEG: Final = "image/jpeg"


class ThumbnailCache:
    """Thumbnails by source and series, a file each. Thread-safe.

    Parameters
    ----------
    folder : where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(
        self, source: str, resource: Resource, make: Callable[[], tuple[str, bytes]]
    ) -> tuple[str, bytes]:
        """Return the media type and bytes of a thumbnail; make it where there is none yet."""
        file = self._file(source, resource)
        try:
            return JPEG, file.read_bytes()
        except FileNotFoundError:
            pass
        media_type, picture = make()
        if len(picture) <= MAX_BYTES and media_type == JPEG:
            _write(file, picture)
        return media_type, picture

    def _file(self, source: str, resource: Resource) -> Path:
        # Named by a digest: neither a server's name nor a UID becomes a path.
        digest = hashlib.sha256(f"{source}\0{resource}".encode()).hexdigest()
        return self._folder / digest[:2] / f"{digest[2:]}.jpg"


def thumbnail_here(source: DicomSource, resource: Resource) -> tuple[str, bytes]:
    """Render the thumbnail of a series in this process, as the viewer decodes its images.

    Raises
    ------
    DicomdockError
        There is nothing to see.
    """
    with instance_on_disk(source, representative(source, resource)) as (path, _):
        return JPEG, render(path, 1, View(viewport=THUMBNAIL, media_type=JPEG))


def _write(file: Path, picture: bytes) -> None:
    make_folders(file.parent)
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "wb") as out:
        out.write(picture)
    Path(name).replace(file)
