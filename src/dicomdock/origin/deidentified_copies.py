"""De-identified copies of an archive's instances: made when they are asked for, the latest are remembered."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from io import BytesIO

from dicomdock.archive import Archive
from dicomdock.archive.index.queries import ArchivedInstance
from dicomdock.deidentify import Deidentifier, HeldBack
from dicomdock.dicom.dataset import read_dataset
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.json_writing import from_dataset
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, NotFound
from dicomdock.origin.responses import CHARACTER_SET, UTF_8

log = logging.getLogger(__name__)

COPIES, DESCRIPTIONS = 256 << 20, 128 << 20  # bytes that are remembered


class Remembered:
    """The values that were used last, up to so many bytes; several threads may use them at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Return a value, None where it is not remembered."""
        with self._lock:
            if (found := self._values.get(key)) is not None:
                self._values.move_to_end(key)
            return found

    def put(self, key: str, value: bytes) -> None:
        """Remember a value, unless it alone would take the place of most others."""
        if len(value) > self._limit // 2:
            return
        with self._lock:
            self._size += len(value) - len(self._values.pop(key, b""))
            self._values[key] = value
            while self._size > self._limit:
                self._size -= len(self._values.popitem(last=False)[1])


@dataclass(frozen=True, slots=True)
class Copy:
    """The de-identified copy of an instance.

    Parameters
    ----------
    resource : the UIDs that it has.
    attributes : in the DICOM JSON model, bulk data as addresses.
    transfer_syntax_uid : of its data set.
    """

    resource: Resource
    attributes: DicomJson = field(repr=False)
    transfer_syntax_uid: str


class Copies:
    """The copies of one archive by one de-identifier.

    A copy is known by the digest of its instance, so that other bytes under the same UID have another copy.
    """

    def __init__(self, archive: Archive, deidentifier: Deidentifier) -> None:
        self._archive = archive
        self._deidentifier = deidentifier
        self._data = Remembered(COPIES)
        self._described = Remembered(DESCRIPTIONS)
        self._held_back: dict[str, str] = {}

    def of(self, instance: ArchivedInstance) -> Copy | None:
        """Return the copy of an instance; None where it is held back, or damaged."""
        if instance.digest in self._held_back:
            return None
        described = self._described.get(instance.digest)
        if described is None:
            if (made := self._make(instance)) is None:
                return None
            described, _ = made
        syntax, attributes = json.loads(described)
        return Copy(self._deidentifier.resource(instance.resource), attributes, syntax)

    def data(self, instance: ArchivedInstance) -> bytes | None:
        """Return the bytes of the copy of an instance; None where it is held back, or damaged."""
        if instance.digest in self._held_back:
            return None
        if (remembered := self._data.get(instance.digest)) is not None:
            return remembered
        made = self._make(instance)
        return made[1] if made is not None else None

    def _make(self, instance: ArchivedInstance) -> tuple[bytes, bytes] | None:
        """Return a copy as what ``of`` reads, and its bytes."""
        stored = self._read(instance)
        if stored is None:
            return None
        outcome = self._deidentifier.file(BytesIO(stored))
        if isinstance(outcome, HeldBack):
            self._held_back[instance.digest] = outcome.reason
            log.warning("%s is held back: %s.", instance.resource, outcome.reason)
            return None
        base = f"{self._deidentifier.resource(instance.resource).path}/bulk/"
        made = read_dataset(BytesIO(outcome.data))
        attributes = {**from_dataset(made, base), CHARACTER_SET: UTF_8}
        syntax = str(made.file_meta.TransferSyntaxUID)
        described = json.dumps([syntax, dict(sorted(attributes.items()))]).encode()
        self._described.put(instance.digest, described)
        self._data.put(instance.digest, outcome.data)
        return described, outcome.data

    def _read(self, instance: ArchivedInstance) -> bytes | None:
        """Return the bytes of an instance; None where they are not what was stored."""
        try:
            parts = self._archive.retrieve(instance.resource)
            return b"".join(chunk for part in parts for chunk in part.chunks())
        except (ArchiveError, NotFound, OSError) as error:  # its sentence names the original
            log.warning("%s is not served: %s", instance.resource, error)
            return None
