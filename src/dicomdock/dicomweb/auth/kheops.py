"""Kheops: a token sent as Bearer or as the password of Basic, and the album that it applies to.

References
----------
Kheops documentation, tokens; its authorization server's QIDO and STOW resources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dicomdock.config.servers import ServerProfile
from dicomdock.dicomweb.auth import BasicAuth, BearerAuth, NoAuth
from dicomdock.errors import ProfileError

_SEARCH = re.compile(r"/studies(/[^/]+/series)?\Z")
_STORE = re.compile(r"/studies(/[^/]+)?\Z")
_ALBUM = re.compile(r"[A-Za-z0-9]{1,64}\Z")


@dataclass(frozen=True)
class KheopsAuth(NoAuth):
    """A Kheops token.

    Parameters
    ----------
    token : of a user, an album or a share link.
    user : sent with Basic, where the token goes as its password; empty for Bearer. Kheops takes any name.
    album : searches and uploads apply to this album.
    inbox : searches and uploads apply to the inbox; never together with an album, which Kheops refuses.
    """

    token: str = field(repr=False)
    user: str = ""
    album: str = ""
    inbox: bool = False

    def __post_init__(self) -> None:
        self.headers("")  # refuses what cannot be a token

    @classmethod
    def of(cls, profile: ServerProfile, token: str) -> KheopsAuth:
        """Read the options of a profile's login.

        Raises
        ------
        ProfileError
            They name an album and the inbox, or an album that cannot be one.
        """
        options = profile.login.options
        album, inbox = options.get("album", ""), options.get("inbox", "") == "true"
        if album and inbox:
            raise ProfileError(
                f"The login of server {profile.name!r} names an album and the inbox; Kheops takes one."
            )
        if album and not _ALBUM.match(album):
            raise ProfileError(f"{album[:64]!r} is not the ID of a Kheops album.")
        return cls(token, profile.login.user, album, inbox)

    def headers(self, url: str) -> Mapping[str, str]:
        """See ``Auth``."""
        auth = BasicAuth(self.user, self.token) if self.user else BearerAuth(self.token)
        return auth.headers(url)

    def parameters(self, method: str, path: str) -> Sequence[tuple[str, str]]:
        """See ``Auth``; the album belongs to searches for studies and series, and to uploads."""
        if not (_SEARCH.search(path) if method == "GET" else method == "POST" and _STORE.search(path)):
            return ()
        if self.album:
            return (("album", self.album),)
        return (("inbox", "true"),) if self.inbox else ()

    def describe(self) -> str:
        """See ``Auth``."""
        scope = f" for album {self.album}" if self.album else " for the inbox" if self.inbox else ""
        return f"Kheops token{scope}"
