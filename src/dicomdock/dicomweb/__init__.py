"""The user agent side of DICOMweb (PS3.18): find, fetch and send instances over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomdock.dicomweb.client import Client

if TYPE_CHECKING:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.config.settings import Settings
    from dicomdock.web.hold import Hold

__all__ = ["Client", "connect"]


def connect(
    server: str | ServerProfile, settings: Settings | None = None, *, hold: Hold | None = None
) -> Client:
    """Return the client of a server, with the login stored for it.

    Nothing is sent before the first transaction.

    Parameters
    ----------
    server : a profile, or the name of one; an empty name is the default server.
    settings : where profiles and secrets are; else what ``Settings.load()`` gives.
    hold : lets all requests wait where the server answers one of them with Retry-After.

    Raises
    ------
    ProfileError
        There is no such profile, or its login lacks its secret.
    """
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.servers import load_profiles
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb.auth import auth_for
    from dicomdock.web.transport import Http

    settings = settings or Settings.load()
    profile = load_profiles(settings).get(server) if isinstance(server, str) else server
    auth = auth_for(profile, Secrets(settings), settings)
    http = None if hold is None else Http(profile.endpoint, auth, settings.connection, hold=hold)
    return Client(profile, settings=settings, auth=auth, http=http)
