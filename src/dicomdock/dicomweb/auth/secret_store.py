"""SecretStore: where a login finds its secret, and stores it again when the issuer has changed it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class SecretStore(Protocol):
    """Where secrets are stored: ``Secrets``, or what a caller holds in memory only."""

    def get(self, server_name: str, origin: str) -> str | None:
        """Return the secret stored for this server at this origin."""

    def set(self, server_name: str, origin: str, secret: str) -> None:
        """Store a secret that the server's issuer has changed."""

    def alone(self, server_name: str, origin: str) -> AbstractContextManager[None]:
        """Keep other processes from renewing this login meanwhile."""
