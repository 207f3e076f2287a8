"""The demonstration: a study of nobody on a server of the dock's own, to try everything with."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from dicomdock.config.servers import Login, ServerProfile

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.config.settings import Settings
    from dicomdock.dock.service import Dock

NAME = "demo"
PATH = "/demo/dicom-web"
ALWAYS = 10 * 365 * 86400.0  # seconds; the server is this dock's own, and holds nothing of anybody


def open_archive(settings: Settings) -> Archive:
    """Open the demonstration server's archive, which is not the user's."""
    from dicomdock.archive import Archive

    return Archive.open(replace(settings, archive=settings.state / "demo", database="", archive_limit=0))


def prepare(dock: Dock) -> str:
    """Make the study where it is not made yet, and the profile of its server; give the server's name."""
    from dicomdock.demo import demo_study
    from dicomdock.dicom.query import Query

    archive = dock.demo_archive
    if not any(page.matches for page in archive.search(Query("studies", limit=1))):
        with archive.writer(origin=NAME) as writer:
            for part in demo_study():
                writer.add(part)
    name = _own_name(dock)
    _introduce(dock, name)
    return name


def resume(dock: Dock) -> None:
    """Serve the demonstration again where an earlier run prepared it; the port may be another now."""
    for profile in dock.profiles():
        if _is_ours(profile):
            _introduce(dock, profile.name)


def _introduce(dock: Dock, name: str) -> None:
    from dicomdock.config.secrets import Secrets

    profile = ServerProfile(name, dock.url + PATH, Login("bearer"))
    store = Secrets(dock.settings)
    token = store.get(name, profile.origin)
    if token is None:
        token = secrets.token_urlsafe(32)
        store.set(name, profile.origin, token)
    dock.keys.grant(None, root=PATH, seconds=ALWAYS, token=token)
    known = {old.name: old for old in dock.profiles()}
    if name not in known or known[name].url != profile.url:
        dock.save_profile(profile)


def _own_name(dock: Dock) -> str:
    """Give the demonstration server's name; another one where the user calls a server of his own so."""
    taken = {profile.name: profile for profile in dock.profiles()}
    for profile in taken.values():
        if _is_ours(profile):
            return profile.name
    return NAME if NAME not in taken else "dicomdock-demo"


def _is_ours(profile: ServerProfile) -> bool:
    url = profile.endpoint.base
    return url.origin.host == "127.0.0.1" and url.path == PATH and not url.origin.is_encrypted
