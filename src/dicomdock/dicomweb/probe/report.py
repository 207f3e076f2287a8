"""The report of a probe: what a server supports, as data and as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from dicomdock.config.dialects import Dialect
from dicomdock.config.servers import ServerProfile
from dicomdock.sources import JsonValue

SERVICES: Final = ("search_url", "retrieve_url", "store_url")
_MARKS: Final = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Parameters
    ----------
    topic : what, as one word that stays the same from version to version.
    works : True, False, or None where that is not known.
    sentence : the same for people.
    """

    topic: str
    works: bool | None
    sentence: str


@dataclass
class Findings:
    """The findings of a probe so far, in the order of its checks."""

    found: list[Finding] = field(default_factory=list)

    def add(self, topic: str, works: bool | None, sentence: str) -> None:
        """Add a finding."""
        self.found.append(Finding(topic, works, sentence))


@dataclass(frozen=True)
class Report:
    """What a server does, what follows for dicomdock, and what it cost to find out.

    Parameters
    ----------
    server, url : its name and base URL.
    findings : in the order in which they were tried.
    dialect : the dialect that the profile should have.
    overrides : where it differs from the built-in dialect of its name.
    requests : how many were sent.
    seconds : how long it took.
    error : why the server could not be tried at all; empty where it could.
    addresses : base URLs of single services that were found, by their name in the profile.
    """

    server: str
    url: str
    findings: tuple[Finding, ...]
    dialect: Dialect
    overrides: Mapping[str, object] = field(default_factory=dict)
    requests: int = 0
    seconds: float = 0.0
    error: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)

    def apply(self, profile: ServerProfile) -> ServerProfile:
        """Return a profile with what was found."""
        known = {name: self.addresses.get(name, getattr(profile, name)) for name in SERVICES}
        return replace(
            profile,
            dialect=self.dialect,
            search_url=known["search_url"],
            retrieve_url=known["retrieve_url"],
            store_url=known["store_url"],
        )

    @property
    def reachable(self) -> bool:
        """The server answered a search."""
        return not self.error

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, a sentence each; the error alone where nothing could be tried."""
        return (self.error,) if self.error else tuple(finding.sentence for finding in self.findings)

    @property
    def consequences(self) -> tuple[str, ...]:
        """What dicomdock will therefore do, a sentence each; empty where the server keeps to the standard."""
        return () if self.error else consequences(self.dialect)

    def works(self, topic: str) -> bool | None:
        """Return whether something works; None where that is not known."""
        return next((finding.works for finding in self.findings if finding.topic == topic), None)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the report as a JSON document."""
        return {
            "server": self.server,
            "url": self.url,
            "reachable": self.reachable,
            "error": self.error,
            "dialect": self.dialect.name,
            "addresses": dict(self.addresses),
            "overrides": {name: _plain(value) for name, value in self.overrides.items()},
            "findings": [
                {"topic": one.topic, "works": _MARKS[one.works], "sentence": one.sentence}
                for one in self.findings
            ],
            "therefore": [*self.consequences],
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }


def consequences(dialect: Dialect) -> tuple[str, ...]:
    """Return what a server's dialect makes dicomdock do otherwise than by PS3.18."""
    usual = Dialect()
    below = tuple(level for level in usual.root_levels if level not in dialect.root_levels)
    sentences = {
        "Dates, names and other keys are compared by dicomdock, because the server applies only "
        f"{', '.join(dialect.match_keys)}.": bool(dialect.match_keys),
        "Wildcards are applied by dicomdock.": not dialect.wildcard,
        "The wildcard ? is applied by dicomdock.": dialect.wildcard and not dialect.question_mark,
        "Blanks, commas and letters beyond ASCII are asked for by wildcards, and the answers filtered.": (
            not dialect.encoded_characters
        ),
        "Several values of a key are asked for one by one.": dialect.value_lists == "none",
        "Several UIDs are asked for one by one.": not dialect.uid_lists,
        "Names are never asked for by sound.": not dialect.fuzzy,
        "Lists are asked for as a whole, because pages cannot be turned.": not dialect.offset,
        f"Lists come in pages of at most {dialect.page_limit.get('studies')} studies.": dialect.page_limit
        != usual.page_limit,
        "Attributes are named by tag.": dialect.key_style == "tag",
        "No further columns are asked for.": dialect.fields == "never",
        f"A search for {' or '.join(below)} walks over the studies.": bool(below),
        "The instances of a study are listed series by series.": not dialect.study_instances,
        "Studies are fetched series by series.": dialect.retrieve_level == "series",
        "Studies and series are fetched one instance after the other, several side by side.": (
            dialect.retrieve_level == "instance"
        ),
        "Studies are fetched whole, also for a series or an instance of them.": dialect.whole_studies,
        "Instances are asked for as single files.": dialect.single_part,
        "Instances may come rewritten; their pixels are the same, their bytes may not be.": (
            not dialect.any_transfer_syntax
        ),
        "Headers are known only after the download.": not dialect.metadata,
        "Lists show images of downloaded studies only.": (not dialect.rendered and not dialect.thumbnail),
        "Nothing can be sent to it.": not dialect.store,
        "What it does not delete is rejected, and hidden by that.": bool(dialect.rejection),
        "Nothing can be deleted on it.": not dialect.delete_levels and not dialect.rejection,
        f"At most {dialect.parallel} requests are made side by side.": bool(dialect.parallel),
    }
    return tuple(sentence for sentence, holds in sentences.items() if holds)


def _plain(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
