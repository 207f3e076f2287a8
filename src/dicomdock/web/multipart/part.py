"""BodyPart: one part of a multipart body, as it is read; Sendable: as it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class BodyPart:
    """A part from the wire.

    Parameters
    ----------
    content_type : its Content-Type; that of the whole body where the body is not multipart.
    opener : returns the part's bytes in chunks; can be called once, before the next part is taken.
    length : bytes, where its header says so: a hint.
    headers : its header fields, names in lower case.
    """

    content_type: str
    opener: Callable[[], Iterator[bytes]]
    length: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def chunks(self) -> Iterator[bytes]:
        """Return the part's bytes, chunk by chunk."""
        return self.opener()


class Sendable(Protocol):
    """What a part must have to be sent."""

    @property
    def content_type(self) -> str:
        """Its Content-Type; empty for the body's usual one."""

    @property
    def length(self) -> int | None:
        """Its bytes, where known beforehand."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its header fields, names in lower case."""

    @property
    def path(self) -> Path | None:
        """The file that holds it, to be named in errors."""

    def chunks(self) -> Iterator[bytes]:
        """Return its bytes from the beginning, chunk by chunk."""
