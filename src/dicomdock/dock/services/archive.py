"""The local archive of a running dock, and the settings that are about it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.config.settings import Settings
from dicomdock.dock.services.events import ArchiveChanged, Events
from dicomdock.dock.services.threads import Lazy

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.archive.eviction import Eviction


class LocalArchive:
    """The archive, opened when it is first needed. Thread-safe; methods may block.

    Parameters
    ----------
    settings : where it is, and how large it may grow.
    events : is informed of what eviction removes.
    """

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._lock = threading.Lock()
        self._archive = Lazy(self._open)

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self._settings

    @property
    def archive(self) -> Archive:
        """The open archive."""
        return self._archive.get()

    def change_settings(self, **values: str | int | float | Path) -> None:
        """Write settings to their file, and apply them now where that is possible while running."""
        with self._lock:
            changed = self._settings.change(**values)
            # The folder stays the same until the next start: transfers write to it.
            now = self._settings
            self._settings = replace(changed, archive=now.archive, object_store=now.object_store)
        self.archive.retention.set_limits(
            limit=changed.archive_limit, free_space_floor=changed.free_space_floor
        )

    def evict(self) -> Eviction:
        """Remove what was not used for longest, down to the limit of the settings."""
        evicted = self.archive.retention.evict()
        for resource in evicted.removed:
            self._events.publish(ArchiveChanged(resource.study))
        return evicted

    def close(self) -> None:
        """Close the archive, if it was opened."""
        archive = self._archive.take()
        if archive is not None:
            archive.close()

    def _open(self) -> Archive:
        from dicomdock.archive import Archive

        return Archive.open(self._settings)
