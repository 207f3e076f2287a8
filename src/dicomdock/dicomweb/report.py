"""Report: what a server was found to do, as data and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomdock.profile import Dialect
from dicomdock.source import JsonValue

_MARKS: Final = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Parameters
    ----------
    topic : what, in one word that stays the same from version to version.
    works : True, False, or None where it could not be told.
    sentence : the same for people.
    """

    topic: str
    works: bool | None
    sentence: str


@dataclass(frozen=True)
class Report:
    """What a server does, what follows for dicomdock, and what it cost to find out.

    Parameters
    ----------
    server, url : its name and base URL.
    findings : in the order in which they were tried.
    dialect : the habits that the profile should have.
    overrides : those of them in which it differs from the built-in dialect of its name.
    requests : how many were sent.
    seconds : how long it took.
    error : why the server could not be tried at all; empty where it could.
    """

    server: str
    url: str
    findings: tuple[Finding, ...]
    dialect: Dialect
    overrides: Mapping[str, object] = field(default_factory=dict)
    requests: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def reachable(self) -> bool:
        """The server answered a search."""
        return not self.error

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, a sentence each; the error alone where nothing could be tried."""
        return (self.error,) if self.error else tuple(finding.sentence for finding in self.findings)

    def works(self, topic: str) -> bool | None:
        """Tell whether something works; None where it was not or could not be told."""
        return next((finding.works for finding in self.findings if finding.topic == topic), None)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the report as a JSON document."""
        return {
            "server": self.server,
            "url": self.url,
            "reachable": self.reachable,
            "error": self.error,
            "dialect": self.dialect.name,
            "overrides": {name: _plain(value) for name, value in self.overrides.items()},
            "findings": [
                {"topic": one.topic, "works": _MARKS[one.works], "sentence": one.sentence}
                for one in self.findings
            ],
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }


def _plain(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
