"""De-identified copies as parts to be pushed: made when they are sent, never stored."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from dicomdock.config.settings import Settings
from dicomdock.deidentify import Deidentified, Deidentifier, HeldBack, Profile, Report
from dicomdock.deidentify.key import pseudonyms_of
from dicomdock.deidentify.pixels import Rectangle
from dicomdock.dicom.resource import Resource
from dicomdock.errors import WireError
from dicomdock.imaging.codecs import decompress
from dicomdock.sources import JsonValue, Part, StoreResult, data_chunks
from dicomdock.transfer.files import Selection, Unsent
from dicomdock.transfer.progress import Progress

SHOWN_EVERY = 0.1  # seconds between two steps of the progress while instances are looked at
DEIDENTIFY, KEY_FILE, BLANK = "deidentify", "key_file", "blank"
"""The options of a transfer in the queue."""


def options_for(deidentify: str, key_file: Path | None, blank: list[str] | None) -> dict[str, JsonValue]:
    """Return the options that a push of copies has in the queue."""
    return {
        DEIDENTIFY: deidentify,
        KEY_FILE: str(key_file.absolute()) if key_file else "",
        BLANK: [*(blank or ())],
    }


def make_deidentifier(
    settings: Settings, profile: str, key_file: Path | None = None, rectangles: Sequence[Rectangle] = ()
) -> Deidentifier:
    """Return what makes copies by a profile, with the key in a file, else this user's.

    Raises
    ------
    InvalidInput
        The profile or the key file cannot be read.
    ProfileError
        The key cannot be read or stored.
    """
    return Deidentifier(Profile.parse(profile), pseudonyms_of(settings, key_file), rectangles, decompress)


def deidentifier_for(settings: Settings, options: Mapping[str, JsonValue]) -> Deidentifier:
    """Return what the options of a transfer ask for.

    Raises
    ------
    InvalidInput, ProfileError
        As ``make_deidentifier``; or a rectangle cannot be read.
    """
    key_file, blank = str(options.get(KEY_FILE) or ""), options.get(BLANK)
    rectangles = [Rectangle.parse(str(word)) for word in (blank if isinstance(blank, list) else ())]
    return make_deidentifier(
        settings, str(options[DEIDENTIFY]), Path(key_file) if key_file else None, rectangles
    )


class Copies:
    """The de-identified copies of a selection.

    Attributes
    ----------
    report : what became of the instances so far.
    """

    def __init__(self, deidentifier: Deidentifier) -> None:
        self._deidentifier = deidentifier
        self._lock = threading.Lock()
        self._counted: set[Resource] = set()
        self.report = Report(deidentifier.profile)

    def resource(self, resource: Resource) -> Resource:
        """Return the UIDs under which an instance leaves."""
        return self._deidentifier.resource(resource)

    def of(self, selection: Selection) -> Generator[Progress, None, Selection]:
        """Return a selection of copies; what is held back is among the unsent, with its reason.

        Yields
        ------
        Progress
            While instances are looked at.
        """
        parts: list[Part] = []
        unsent = [*selection.unsent]
        started = shown = time.monotonic()
        for done, part in enumerate(selection.parts):
            if (now := time.monotonic()) - shown >= SHOWN_EVERY:
                shown = now
                yield Progress(done, len(selection.parts), 0, 0, now - started, "looking for text in pixels")
            assert part.resource is not None
            if reason := self._reason(part):
                self._hold_back(part, reason)
                uid = part.resource.instance or ""
                result = StoreResult(uid, "failed", None, f"it was held back: {reason}")
                unsent.append(Unsent(str(part.path or part.resource), result))
            else:
                parts.append(self._copy(part))
        return Selection.of(parts, unsent, selection.passed_over)

    def _reason(self, part: Part) -> str:
        if part.path is None:
            return self._deidentifier.held_back(BytesIO(b"".join(part.chunks())))
        try:
            with part.path.open("rb") as file:
                return self._deidentifier.held_back(file)
        except OSError:
            return "its file cannot be read"

    def _copy(self, part: Part) -> Part:
        """Return a part that gives the copy of another, made anew whenever it is opened."""
        assert part.resource is not None
        resource = self._deidentifier.resource(part.resource)

        def opener() -> Iterator[bytes]:
            outcome = self._deidentifier.file(BytesIO(b"".join(part.chunks())))
            if isinstance(outcome, HeldBack):
                self._hold_back(part, outcome.reason)
                raise WireError(f"it was held back: {outcome.reason}")
            self._count(resource, outcome)
            return data_chunks(outcome.data)

        return Part("application/dicom", opener, resource=resource, intact=part.intact)

    def _hold_back(self, part: Part, reason: str) -> None:
        assert part.resource is not None
        with self._lock:
            if part.resource not in self._counted:
                self._counted.add(part.resource)
                self.report.hold_back(str(part.resource), reason)

    def _count(self, resource: Resource, outcome: Deidentified) -> None:
        with self._lock:
            if resource not in self._counted:
                self._counted.add(resource)
                self.report.add(outcome.changes, blanked=outcome.blanked)
