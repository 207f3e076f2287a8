"""The demonstration: a made study on a server of the dock's own, to try everything with."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dicomdock.config.servers import Login, ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.security.sessions import Keys
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.threads import Lazy
from dicomdock.errors import Cancelled, NotInArchive

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.sources import Part

NAME = "demo"
PATH = "/demo/dicom-web"
ALWAYS = 10 * 365 * 86400.0  # seconds; the server is this dock's own, and holds nothing of anybody


class Demonstration:
    """The demonstration server. Methods block.

    Parameters
    ----------
    settings : where its archive is.
    servers : the list that it is added to.
    keys : make its token.
    url : the dock's address.
    """

    def __init__(self, settings: Settings, servers: Servers, keys: Keys, url: str) -> None:
        self._settings = settings
        self._servers = servers
        self._keys = keys
        self._url = url
        self._archive = Lazy(self._open)
        self._closing = threading.Event()

    @property
    def archive(self) -> Archive:
        """Its archive, which is not the user's; the study is made first where it does not exist yet."""
        return self._archive.get()

    def introduce(self) -> str:
        """Make the server's profile where it does not exist yet, and return its name.

        Who asks the server waits until ``prepare`` is done.
        """
        name = self._name()
        self._introduce(name)
        return name

    def prepare(self) -> str:
        """Make the study and the server's profile where they do not exist yet; return the server's name.

        Raises
        ------
        Cancelled
            The dock closes.
        """
        self.archive  # noqa: B018 - opening it makes the study
        return self.introduce()

    def resume(self) -> None:
        """Serve the study again where an earlier run prepared it; the port may be another now."""
        for profile in self._servers.profiles():
            if _is_ours(profile):
                self._introduce(profile.name)

    def close(self) -> None:
        """Close the archive, if it was opened; a study that is being made is left out."""
        self._closing.set()
        archive = self._archive.take()
        if archive is not None:
            archive.close()

    def _open(self) -> Archive:
        from dicomdock.archive import Archive

        folder = self._settings.state / "demo"
        archive = Archive.open(replace(self._settings, archive=folder, database="", archive_limit=0))
        try:
            self._fill(archive)
        except BaseException:
            archive.close()
            raise
        return archive

    def _fill(self, archive: Archive) -> None:
        """Make the study where the archive is empty; leave none of it behind where that ends too early."""
        from dicomdock.dicom.query import Query

        if any(page.matches for page in archive.search(Query("studies", limit=1))):
            return
        made: Resource | None = None
        try:
            with archive.writer(origin=NAME) as writer:
                for part in self._parts():
                    made = Resource(writer.add(part).resource.study)
        except BaseException:
            if made is not None:
                with suppress(NotInArchive):
                    archive.remove(made)
            raise

    def _parts(self) -> Iterator[Part]:
        from dicomdock.demo import demo_study

        for part in demo_study():
            if self._closing.is_set():
                raise Cancelled("The demonstration study was not made: the dock closes.")
            yield part

    def _introduce(self, name: str) -> None:
        from dicomdock.config.secrets import Secrets

        profile = ServerProfile(name, self._url + PATH, Login("bearer"))
        store = Secrets(self._settings)
        token = store.get(name, profile.origin)
        if token is None:
            token = secrets.token_urlsafe(32)
            store.set(name, profile.origin, token)
        self._keys.grant(None, root=PATH, seconds=ALWAYS, token=token)
        known = {old.name: old for old in self._servers.profiles()}
        if name not in known or known[name].url != profile.url:
            self._servers.save(profile)

    def _name(self) -> str:
        """Return the server's name; another one where the user calls a server of his own so."""
        taken = {profile.name: profile for profile in self._servers.profiles()}
        for profile in taken.values():
            if _is_ours(profile):
                return profile.name
        return NAME if NAME not in taken else "dicomdock-demo"


def _is_ours(profile: ServerProfile) -> bool:
    url = profile.endpoint.base
    return url.origin.host == "127.0.0.1" and url.path == PATH and not url.origin.is_encrypted
