"""What the words of a command name: servers, the archive, and resources in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dicomdock.dicom.query import Query, SearchLevel
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Cancelled, InvalidInput, NotFound

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.cli.output import Console
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb import Client
    from dicomdock.sources import DicomSource

# What selects on a level below the study (PS3.18 tables 10.6.1-2, 10.6.1-3 name the attributes).
SERIES_KEYS = {
    "BodyPartExamined",
    "Modality",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "ProtocolName",
    "SeriesDate",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
}
INSTANCE_KEYS = {"InstanceNumber", "NumberOfFrames", "SOPClassUID", "SOPInstanceUID"}


def archive(console: Console) -> Archive:
    """Open the local archive."""
    from dicomdock.archive import Archive

    return Archive.open(console.settings)


class Opened:
    """Sources that are opened when they are asked, in whatever thread, and all closed at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._over = False

    def later(self, name: str) -> Callable[[], DicomSource]:
        """Return what opens the archive (``local``) or a server."""
        return lambda: self._open(name)

    def _open(self, name: str) -> DicomSource:
        here = name == "local"
        source = archive(self._console) if here else connect(name, self._console.settings)
        with self._lock:
            if not self._over:
                return self._stack.enter_context(source)
        source.close()
        raise Cancelled(f"{name} was opened too late.")

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over = True
        self._stack.close()


def connect(name: str, settings: Settings) -> Client:
    """Connect to a server by its profile."""
    from dicomdock import dicomweb

    return dicomweb.connect(name, settings)


def server_name(console: Console, name: str = "") -> str:
    """Return the server that is meant: the named one, else the default.

    Raises
    ------
    ProfileError
        No server is known by that name, or none at all.
    """
    from dicomdock.config.servers import load_profiles

    return load_profiles(console.settings).get(name).name


def keys(words: Iterable[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` words; an empty value asks for the attribute without selecting.

    Raises
    ------
    InvalidInput
        A word is something else, or a key stands twice.
    """
    match: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InvalidInput(f"{word!r} is not KEY=VALUE, such as PatientName='Doe*'.")
        if key in match:
            raise InvalidInput(f"{key} is given twice; a list of UIDs is written with commas.")
        match[key] = value
    return match


def resources(words: Sequence[str], source: DicomSource) -> list[Resource]:
    """Return the resources that words name: by UIDs, or what the source finds by ``KEY=VALUE``.

    Raises
    ------
    InvalidInput
        A word is neither.
    NotFound
        Nothing matches.
    """
    selecting = [word for word in words if "=" in word]
    named = [Resource.parse(word) for word in words if "=" not in word]
    if selecting:
        named.extend(_matching(keys(selecting), source))
    return list(dict.fromkeys(named))


def resources_on(console: Console, name: str, words: Sequence[str]) -> list[Resource]:
    """Return the resources that words name on a server, which is connected to only where it must search."""
    if not any("=" in word for word in words):
        return list(dict.fromkeys(map(Resource.parse, words)))
    with connect(name, console.settings) as client:
        return resources(words, client)


def _matching(match: dict[str, str], source: DicomSource) -> list[Resource]:
    from dicomdock.dicom.json_model import text
    from dicomdock.dicom.uid import UID_KEYWORDS

    level: SearchLevel = "studies"
    if INSTANCE_KEYS.intersection(match):
        level = "instances"
    elif SERIES_KEYS.intersection(match):
        level = "series"
    wanted = UID_KEYWORDS[level]
    found = []
    for page in source.search(Query(level, match, fields=wanted)):
        for item in page.matches:
            study, series, instance = [*(text(item.attributes, uid) for uid in wanted), None, None][:3]
            found.append(Resource(study or "", series, instance))
    if not found:
        shown = " ".join(f"{key}={value}" for key, value in match.items())
        raise NotFound(f"{source.name} has nothing that matches {shown}.")
    return found
