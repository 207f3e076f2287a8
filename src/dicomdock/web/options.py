"""ConnectionOptions; apart from ``endpoint``, because the settings of quick commands name them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConnectionOptions:
    """How long a connection waits, and how often a request is sent again.

    Parameters
    ----------
    connect_timeout : seconds until a host that does not answer is given up.
    read_timeout : seconds without a byte until an answer is given up.
    retries : further tries after 408, 429, 5xx or a dropped connection.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    retries: int = 4
