"""Request: what is sent, before and after a login added its part; and Body: what can be sent again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from dicomdock.web.url import Url


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
