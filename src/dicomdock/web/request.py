"""Request: what is sent, before and after a login added its part; and Body: what can be sent again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from dicomdock.errors import InvalidInput
from dicomdock.web.url import Url

_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Body(Protocol):
    """A request body that can be made again for a retry."""

    @property
    def content_type(self) -> str:
        """The Content-Type of the body."""

    @property
    def length(self) -> int | None:
        """Its bytes; None where they are not known beforehand."""

    def chunks(self) -> Iterator[bytes]:
        """Return the body from its beginning."""


def check_fields(headers: Mapping[str, str]) -> None:
    """Refuse header fields that would end their line, or cannot be sent: what is in them may be foreign.

    Raises
    ------
    InvalidInput
        A name or value holds a line break, another control character, or a letter beyond Latin-1.

    References
    ----------
    RFC 9110 §5.5 (field values).
    """
    for name, value in headers.items():
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise InvalidInput(
                f"The header field {name[:40]!r} of a request holds line breaks or foreign letters;"
                " nothing was sent."
            )


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    Parameters
    ----------
    method : ``GET``, ``POST``, ...
    url : the whole address.
    headers : header fields.
    body : what is sent; None for nothing.
    secrets : what must be shown nowhere, should the answer repeat it.
    """

    method: str
    url: Url
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def with_headers(self, fields: Mapping[str, str], *, secrets: tuple[str, ...] = ()) -> Request:
        """Return the request with further header fields, and what of them is secret."""
        return replace(self, headers={**self.headers, **fields}, secrets=(*self.secrets, *secrets))
