"""Kheops: a token sent as Bearer or as the password of Basic, and the album that it applies to.

References
----------
Kheops documentation, tokens; its authorization server's QIDO and STOW resources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from dicomdock.config.servers import ServerProfile
from dicomdock.errors import ProfileError
from dicomdock.web.auth import BasicAuth, BearerAuth, NoAuth
from dicomdock.web.request import Request

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
        self._login()  # refuses what cannot be a token

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

    def authorize(self, request: Request) -> Request:
        """See ``Auth``; the album belongs to searches for studies and series, and to uploads."""
        request = self._login().authorize(request)
        name, value = ("album", self.album) if self.album else ("inbox", "true" if self.inbox else "")
        if not value or not self._about_album(request):
            return request
        query = request.url.query or ""
        if any(pair.partition("=")[0] == name for pair in query.split("&")):  # a next page names it already
            return request
        pairs = "&".join(filter(None, (query, f"{name}={value}")))
        return replace(request, url=replace(request.url, query=pairs))

    def _login(self) -> BasicAuth | BearerAuth:
        return BasicAuth(self.user, self.token) if self.user else BearerAuth(self.token)

    @staticmethod
    def _about_album(request: Request) -> bool:
        path = request.url.path
        if request.method == "GET":
            return _SEARCH.search(path) is not None
        return request.method == "POST" and _STORE.search(path) is not None

    def describe(self) -> str:
        """See ``Auth``."""
        scope = f" for album {self.album}" if self.album else " for the inbox" if self.inbox else ""
        return f"Kheops token{scope}"
