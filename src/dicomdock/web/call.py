"""Call: one request on its way, and whether and when it may be sent again.

References
----------
RFC 9110 §9.2.2 (idempotent methods), §10.2.3 (Retry-After).
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from dicomdock.web.request import Body, Request

MAX_WAIT = 60.0  # seconds; a longer Retry-After is cut to this
FIRST_WAIT = 0.4  # seconds before the first retry; doubled each time
CONNECT_RETRIES = 1  # a host that refuses or does not answer is asked once more: it may be starting

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_RETRIED_AFTER_SENDING = frozenset({429, 503})  # the server says that it has not begun


@dataclass
class Call:
    """One request on its way, with what was tried already.

    Parameters
    ----------
    request : what is asked, without what the login adds.
    what : what is being done, in words.
    escaped : every reserved character of the query is escaped.
    retries : further tries at most after a status; None for as many as usual.
    """

    request: Request
    what: str
    escaped: bool
    retries: int | None = None
    tries: int = 0
    redirects: int = 0
    refreshed: bool = False
    begun: bool = False

    @property
    def subject(self) -> str:
        """What is being done, to begin a sentence with."""
        return self.what[:1].upper() + self.what[1:]

    @property
    def safe(self) -> bool:
        """True where asking twice does what asking once does."""
        return self.request.method in SAFE_METHODS

    def sending(self) -> Iterator[bytes] | None:
        """Return the body from its beginning."""
        self.begun = False
        body = self.request.body
        return None if body is None else self._chunks(body)

    def _chunks(self, body: Body) -> Iterator[bytes]:
        self.begun = True
        yield from body.chunks()

    def may_escape(self) -> bool:
        """Return whether the query has a raw ``^`` that the server may have refused."""
        return not self.escaped and self.safe and "^" in (self.request.url.query or "")

    def wait_after_failure(self, again: str, retries: int) -> float | None:
        """Return the seconds to wait before the next try after no answer; None to give up."""
        limit = min(retries, CONNECT_RETRIES) if again == "connect" else retries
        repeatable = self.safe or not self.begun
        if again == "dropped" and (not repeatable or (not self.safe and self.request.body is None)):
            return None
        if again == "never" or self.tries >= limit:
            return None
        self.tries += 1
        # A pooled connection that died meanwhile is the usual reason: no wait the first time.
        return 0.0 if again == "dropped" and self.tries == 1 else _back_off(self.tries)

    def wait_after_status(
        self, status: int, retry_after: str, retries: int, *, patient: bool = False
    ) -> float | None:
        """Return the seconds to wait before the next try after this status; None to give up.

        Parameters
        ----------
        retry_after : what the server answered of when to ask again; may be empty.
        patient : tries that the server asked for do not count.
        """
        patient = patient and self.retries is None
        retries = retries if self.retries is None else self.retries
        if self.safe:
            limit = min(retries, 1) if status == 500 else retries
            again = status in _RETRIED
        else:
            limit = retries
            again = status in _RETRIED_AFTER_SENDING
        asked = seconds_of(retry_after)
        if patient and again and asked is not None and status in _RETRIED_AFTER_SENDING:
            return min(max(asked, FIRST_WAIT), MAX_WAIT)
        if not again or self.tries >= limit:
            return None
        self.tries += 1
        return _back_off(self.tries) if asked is None else min(asked, MAX_WAIT)


def _back_off(tries: int) -> float:
    return min(MAX_WAIT, FIRST_WAIT * 2.0 ** (tries - 1)) * random.uniform(0.5, 1.0)  # noqa: S311


def seconds_of(text: str) -> float | None:
    """Read a Retry-After in seconds or as a date; None where it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds: float = date.timestamp() - time.time()
    return max(0.0, seconds)
