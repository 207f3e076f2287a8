"""The studies of an archive by the pseudonyms of their UIDs."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import MappingProxyType

from dicomdock.archive import Archive
from dicomdock.deidentify import Deidentifier
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource

AT_ONCE = 1.0  # seconds; where listing takes longer, a list is used again
SHARE = 10  # a list is used for so many times what it took, so that listing stays a tenth of the work


class Studies:
    """The studies of an archive: the UID that a client sees -> the original.

    A pseudonym cannot be reversed, so that all are made. Their order is that of the pseudonyms, which says
    nothing of dates.
    """

    def __init__(self, archive: Archive, deidentifier: Deidentifier) -> None:
        self._archive = archive
        self._deidentifier = deidentifier
        self._lock = threading.Lock()
        self._originals: Mapping[str, str] = MappingProxyType({})
        self._until = 0.0

    def all(self) -> Mapping[str, str]:
        """Return all studies."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._list()
            return self._originals

    def original(self, uid: str) -> str | None:
        """Return the original UID of a study; None where there is none.

        A study that has been removed since may still be named.
        """
        with self._lock:
            if uid not in self._originals and time.monotonic() >= self._until:
                self._list()
            return self._originals.get(uid)

    def _list(self) -> None:
        started = time.monotonic()
        found: dict[str, str] = {}
        known = {original: uid for uid, original in self._originals.items()}
        for page in self._archive.search(Query("studies")):
            for match in page.matches:
                original = text(match.attributes, "StudyInstanceUID")
                uid = known.get(original) or self._deidentifier.resource(Resource(original)).study
                found[uid] = original
        self._originals = MappingProxyType(dict(sorted(found.items())))
        took = time.monotonic() - started
        self._until = time.monotonic() + took * SHARE if took > AT_ONCE else 0.0
