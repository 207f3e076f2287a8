"""Dock: what all pages of one running dock share; sync and thread-safe, slow work goes through ``run``."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from dicomdock.config.preferences import Preferences
from dicomdock.config.settings import Settings
from dicomdock.dock.security.guard import Keys
from dicomdock.dock.services.events import (
    ArchiveChanged,
    Events,
    ServerChanged,
    ServersChanged,
    TransferChanged,
)
from dicomdock.dock.services.prefetch import Ahead
from dicomdock.errors import ProfileError

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.archive.eviction import Eviction
    from dicomdock.config.servers import Profiles, ServerProfile
    from dicomdock.dicom.resource import Resource
    from dicomdock.dicomweb import Client
    from dicomdock.dock.services.links import Links
    from dicomdock.dock.services.uploads import Uploads
    from dicomdock.dock.services.viewers import Viewers
    from dicomdock.origin.workers import Workers
    from dicomdock.sources import DicomSource, JsonValue
    from dicomdock.transfer import Runner, Transfer, TransferQueue

P = ParamSpec("P")
T = TypeVar("T")

LOCAL = "local"
"""The archive's name among the sources."""
# Many may wait for slow servers at once without keeping the archive's answers waiting; idle threads are not
# made.
WORKERS = 32
# A list that looks up what arrived does so about once a second while a transfer runs, and at its end.
SECOND_LOOK = 1.0  # seconds


class Dock:
    """The state of a running dock: archive, servers, transfers, sessions, events.

    Parameters
    ----------
    settings : where things are and how much is allowed.
    port : the TCP port that the dock answers on.
    """

    def __init__(self, settings: Settings, *, port: int) -> None:
        self.settings = settings
        self.port = port
        self.keys = Keys()
        self.events = Events()
        self.preferences = Preferences(settings)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="dock")
        self._lock = threading.RLock()
        self._archive: Archive | None = None
        self._demo_archive: Archive | None = None
        self._decoders: Workers | None = None
        self._clients: dict[str, Client] = {}
        self._queue: TransferQueue | None = None
        self._runner: Runner | None = None
        self._links: Links | None = None
        self._uploads: Uploads | None = None
        self._viewers: Viewers | None = None
        self.ahead = Ahead(self)
        self._closed = False
        self._told: dict[int, float] = {}
        self._to_show = ""
        self._on_show: Callable[[str], None] | None = None
        self._on_lead: Callable[[str, str], None] | None = None

    @property
    def url(self) -> str:
        """The dock's address, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def show(self, path: str) -> None:
        """Bring a page before the user's eyes; from any thread, at once."""
        with self._lock:
            show = self._on_show
            if show is None:
                self._to_show = path
        if show is not None:
            show(path)

    def lead_on(self, path: str, place: str) -> None:
        """Say that a browser which came to one address is sent to another one."""
        if self._on_lead is not None:
            self._on_lead(path, place)

    def on_show(
        self, show: Callable[[str], None] | None, lead: Callable[[str, str], None] | None = None
    ) -> None:
        """Say how pages are shown; a page that was asked for before is shown now.

        Parameters
        ----------
        show : brings an address before the user's eyes.
        lead : is told where a browser came, and where it was sent from there.
        """
        with self._lock:
            self._on_show, self._on_lead = show, lead
            path, self._to_show = self._to_show, ""
        if path and show is not None:
            show(path)

    def link(self, path: str = "/") -> str:
        """Make an address that opens a page once, with a new session."""
        return f"{self.url}{path}#{self.keys.one_time_token()}"

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work in a thread, so that no page waits for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(work, *args, **kwargs))

    # What follows may block (files, databases): call it in a worker, through ``run``.

    @property
    def archive(self) -> Archive:
        """The local archive, opened when it is first needed."""
        with self._lock:
            if self._archive is None:
                from dicomdock.archive import Archive

                self._archive = Archive.open(self.settings)
            return self._archive

    @property
    def demo_archive(self) -> Archive:
        """The archive behind the demonstration server."""
        with self._lock:
            if self._demo_archive is None:
                from dicomdock.dock.services.demonstration import open_archive

                self._demo_archive = open_archive(self.settings)
            return self._demo_archive

    @property
    def decoders(self) -> Workers:
        """The processes that decode pictures, for all that needs some."""
        with self._lock:
            if self._decoders is None:
                from dicomdock.origin.workers import Workers

                self._decoders = Workers()
            return self._decoders

    def change_settings(self, **values: str | int | float | Path) -> None:
        """Write settings down, and go by them from now on where that is possible while running."""
        from dicomdock.config.settings_file import change

        with self._lock:
            changed = change(self.settings, **values)
            # The archive stays where it is until the next start: transfers write to it.
            self.settings = replace(changed, archive=self.settings.archive)
            self.archive.allow(limit=changed.archive_limit, free_space_floor=changed.free_space_floor)

    def evict(self) -> Eviction:
        """Make room in the archive, down to the limit of the settings, and tell the pages."""
        gone = self.archive.evict()
        for resource in gone.removed:
            self.events.publish(ArchiveChanged(resource.study))
        return gone

    def profiles(self) -> Profiles:
        """Give the servers as they stand in the file now; the command line may have changed them."""
        from dicomdock.config.servers import load_profiles

        return load_profiles(self.settings)

    def save_profile(self, profile: ServerProfile, *, instead_of: str = "") -> None:
        """Keep a server, in place of the one it was edited from."""
        with self._lock:
            profiles = self.profiles()
            if instead_of and instead_of != profile.name:
                profiles = profiles.without(instead_of)
            profiles.with_profile(profile).save(self.settings)
            self._forget_client(instead_of or profile.name)
            self._forget_client(profile.name)
        self.events.publish(ServersChanged())

    def remove_profile(self, name: str) -> None:
        """Take a server off the list, and its secret out of the keyring."""
        from dicomdock.config.secrets import Secrets

        with self._lock:
            profiles = self.profiles()
            Secrets(self.settings).delete(name, profiles.get(name).origin)
            profiles.without(name).save(self.settings)
            self._forget_client(name)
        self.events.publish(ServersChanged())

    def forget_connection(self, name: str) -> None:
        """Connect anew next time: the login has changed."""
        with self._lock:
            self._forget_client(name)
        self.events.publish(ServersChanged())

    def _forget_client(self, name: str) -> None:
        client = self._clients.pop(name, None)
        if client is not None:
            client.close()

    def client(self, name: str) -> Client:
        """Give the connection to a server by its name; one for all pages.

        Raises
        ------
        ProfileError
            There is no such server.
        """
        from dicomdock.dicomweb import connect

        with self._lock:
            profile = self.profiles().get(name)
            known = self._clients.get(name)
            if known is not None and known.profile == profile:
                return known
            self._forget_client(name)
            client = self._clients[name] = connect(profile, self.settings)
            return client

    def source(self, name: str) -> DicomSource:
        """Give the archive or a server by its name."""
        return self.archive if name == LOCAL else self.client(name)

    def source_names(self) -> tuple[str, ...]:
        """Give the archive's name, then the servers'; an unreadable list of servers counts as empty here."""
        try:
            return (LOCAL, *self.profiles().names)
        except ProfileError:
            return (LOCAL,)

    @property
    def uploads(self) -> Uploads:
        """The files that come from the browser."""
        with self._lock:
            if self._uploads is None:
                from dicomdock.dock.services.uploads import Uploads

                self._uploads = Uploads(self)
            return self._uploads

    @property
    def viewers(self) -> Viewers:
        """The viewers of the studies that are open."""
        with self._lock:
            if self._viewers is None:
                from dicomdock.dock.services.viewer_requests import ViewerRequests
                from dicomdock.dock.services.viewers import Viewers

                self._viewers = Viewers(self.settings, ViewerRequests(self.settings, DockNetwork(self)))
                self._viewers.observe(self.ahead.looked_at)
            return self._viewers

    @property
    def links(self) -> Links:
        """The links that came from other programs."""
        with self._lock:
            if self._links is None:
                from dicomdock.dock.services.links import Links

                self._links = Links(self)
            return self._links

    @property
    def queue(self) -> TransferQueue:
        """The transfers of this user, those of other processes too."""
        with self._lock:
            if self._queue is None:
                from dicomdock.transfer import TransferQueue

                self._queue = TransferQueue(self.settings)
            return self._queue

    def start_transfers(self) -> None:
        """Go on with what was interrupted, and wait for more."""
        from dicomdock.transfer import Runner

        with self._lock:
            if self._runner is None and not self._closed:
                self._runner = Runner(
                    self.queue,
                    self.archive,
                    self.connect,
                    self.settings,
                    changed=self._transfer_changed,
                    wanted=self.ahead.wanted,
                )
                self._runner.start()

    def connect(self, name: str) -> Client:
        """Connect to a server of the user's, or by a link's connection; the caller closes it."""
        from dicomdock.dicomweb import connect

        # A connection of its own: the transfer closes it, and pages must not notice.
        return self.links.connect(name) or connect(self.profiles().get(name), self.settings)

    def pull(self, server: str, resources: Iterable[Resource]) -> Transfer:
        """Queue a download into the archive."""
        return self._enqueue(
            self.queue.add("pull", server, map(str, resources), options={"background": True})
        )

    def push(self, server: str, resources: Iterable[Resource], *, on_duplicate: str = "skip") -> Transfer:
        """Queue an upload from the archive."""
        options: dict[str, JsonValue] = {"background": True, "on_duplicate": on_duplicate}
        return self._enqueue(self.queue.add("push", server, map(str, resources), options=options))

    def studies_coming(self) -> set[str]:
        """Give the UIDs of the studies that are being downloaded, or wait for it."""
        return {study for transfer in self._pulls() for study in transfer.studies}

    def coming(self, study: str) -> Transfer | None:
        """Give the download that brings a study, or more of it."""
        return next((transfer for transfer in self._pulls() if study in transfer.studies), None)

    def _pulls(self) -> Iterator[Transfer]:
        return (one for one in self.queue.latest() if one.kind == "pull" and not one.ended)

    def wish(self, transfer: int, wish: Literal["pause", "cancel"]) -> None:
        """Ask a transfer to pause or end."""
        self.queue.request(transfer, wish)
        self._transfer_changed(transfer)

    def resume(self, transfer: int) -> Transfer:
        """Queue a paused or failed transfer again."""
        return self._enqueue(self.queue.resume(transfer))

    def _enqueue(self, transfer: Transfer) -> Transfer:
        if self._viewers is not None and transfer.kind == "pull":
            for study in transfer.studies:
                self._viewers.pull_changed(study, True)  # before it can end
        self.start_transfers()
        if self._runner is not None:
            self._runner.wake()
        self._transfer_changed(transfer.id)
        return transfer

    def _transfer_changed(self, number: int) -> None:
        self.events.publish(TransferChanged(number))
        transfer = self.queue.get(number)
        now = time.monotonic()
        if not transfer.ended and now < self._told.get(number, 0.0) + SECOND_LOOK:
            return
        self._told[number] = now
        if transfer.kind == "pull":
            for study in transfer.studies:
                self.events.publish(ArchiveChanged(study))
                if transfer.ended:
                    self._pull_ended(study, transfer)
            if transfer.ended and self.settings.archive_limit:
                self.evict()
        elif transfer.ended:
            self.archive.forget(transfer.server)
            for study in transfer.studies:
                self.events.publish(ServerChanged(transfer.server, study))

    def _pull_ended(self, study: str, transfer: Transfer) -> None:
        if self.coming(study) is not None:
            return  # another download brings more of it
        self.ahead.ended(study)
        if self._viewers is not None:
            failed = "some of its images could not be fetched; its page in dicomdock says why."
            why = "" if transfer.state == "done" else transfer.message or failed
            self._viewers.pull_changed(study, False, why)

    def close(self) -> None:
        """Pause the transfers, close the connections and the archive."""
        with self._lock:
            self._closed = True
            runner, self._runner = self._runner, None
            viewers, self._viewers = self._viewers, None
        self.ahead.close()
        if viewers is not None:
            viewers.close()
        if runner is not None:
            runner.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            archives = (self._archive, self._demo_archive)
            self._archive = self._demo_archive = None
            decoders, self._decoders = self._decoders, None
        if decoders is not None:
            decoders.close()
        for archive in archives:
            if archive is not None:
                archive.close()


class DockNetwork:
    """The dock's connections, links' too, for the requests of its viewers; its pages see what was done."""

    def __init__(self, dock: Dock) -> None:
        self._dock = dock

    def server_names(self) -> tuple[str, ...]:
        """Return the names of the user's servers."""
        return self._dock.profiles().names

    def link_names(self) -> frozenset[str]:
        """Return the names of the connections of links."""
        return self._dock.links.connections

    def connect(self, name: str) -> Client:
        """Connect to a server, or by the connection of a link."""
        return self._dock.connect(name)

    def pull(self, server: str, series: Iterable[Resource], send: object) -> None:  # noqa: ARG002
        """Queue the download; the viewer is informed when it begins and ends."""
        self._dock.pull(server, series)

    def study_changed(self, study: str) -> None:
        """Let the pages look the study up."""
        self._dock.events.publish(ArchiveChanged(study))

    def sent(self, server: str, study: str) -> None:
        """Let the pages ask the server again."""
        self._dock.events.publish(ServerChanged(server, study))
