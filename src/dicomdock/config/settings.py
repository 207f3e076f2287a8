"""Settings: which folders are used and how much is allowed, read once at the start and passed on."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

from dicomdock.config.toml_file import Table, TomlFile
from dicomdock.config.validation import Wrong, read_values, setting
from dicomdock.errors import InvalidInput
from dicomdock.web.options import ConnectionOptions

FILE = "settings.toml"
OBJECT_STORES = ("s3", "gs", "az")
NOT_IN_FILE = ("config", "state", "object_store")
MIB = 1 << 20
MOST_WORKERS = 64  # threads of one kind; more only wait for each other, and no server likes them


@dataclass(frozen=True)
class Settings:
    """What the user set.

    Each field's meaning, and the numbers that it may hold, stand with it; ``docs/settings.md`` lists them.

    Parameters
    ----------
    config : folder of profiles, trusted origins and ``settings.toml``.
    archive : folder of the local archive; of one in an object store, the folder of its index and its cache.
    state : folder of transfers, sockets and logs.
    object_store : URL of the bucket that holds the archive's instances, where ``archive`` in the file is one;
        else empty.
    """

    config: Path
    archive: Path
    state: Path
    object_store: str = ""
    database: str = setting(
        "",
        "URL of the archive's index, postgresql://USER@HOST/NAME; empty for SQLite inside the archive folder",
    )
    port: int = setting(
        2042,
        "TCP port of the dock on 127.0.0.1; the next free one is taken when it is busy",
        least=1,
        most=65535,
    )
    series_workers: int = setting(4, "series streams side by side in a pull", least=1, most=MOST_WORKERS)
    instance_workers: int = setting(
        8,
        "single-instance requests side by side, to resume or where a server retrieves no series",
        least=1,
        most=MOST_WORKERS,
    )
    store_workers: int = setting(
        4, "upload batches side by side; measured best at 4 against Orthanc", least=1, most=MOST_WORKERS
    )
    store_batch: int = setting(32 * MIB, "bytes; an upload batch is closed when it reaches this", least=1)
    connect_timeout: float = setting(
        10.0, "seconds until a host that does not answer is given up", least=0.1, most=86400
    )
    read_timeout: float = setting(
        120.0,
        "seconds without a byte until an answer is given up; servers may prepare a series for long",
        least=0.1,
        most=86400,
    )
    retries: int = setting(4, "further tries after 408, 429, 5xx or a dropped connection")
    archive_limit: int = setting(
        0, "bytes that the archive may hold before the least recently used go; 0 for no limit"
    )
    free_space_floor: int = setting(
        256 * MIB, "bytes that must stay free on the archive's disk; transfers stop before"
    )
    query_cache_age: float = setting(
        300.0, "seconds for which the result of a search is shown again without a new request"
    )
    cache_limit: int = setting(
        10_000 * MIB, "bytes of local copies of what an archive in an object store holds"
    )
    viewer_patience: float = setting(
        1800.0, "seconds that a viewer waits for a page whose connection broke before it ends"
    )
    viewer_memory: int = setting(
        0,
        "bytes that viewers may use together before those that nobody looks at end; 0 for a quarter of the"
        " machine's memory",
    )
    worklist_deadline: float = setting(
        604_800.0,
        "seconds without an update after which a claimed step of the work list is canceled and scheduled"
        " anew; 0 for never",
    )
    nninteractive: str = setting(
        "", "address of an nnInteractive server, for prompts in the viewer; empty for none"
    )
    person: str = setting(
        "", "name under which you annotate and review in projects; empty for that of the user at the system"
    )

    @property
    def archive_location(self) -> str:
        """Where the archive's instances are, for people: a folder, or the URL of a bucket."""
        return self.object_store or str(self.archive)

    @property
    def person_name(self) -> str:
        """The name under which this user annotates and reviews."""
        if self.person:
            return self.person
        import getpass

        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a container may run as a number that no user has
            return f"user-{os.getuid()}" if hasattr(os, "getuid") else "user"

    @property
    def connection(self) -> ConnectionOptions:
        """How long connections wait, and how often a request is sent again."""
        return ConnectionOptions(self.connect_timeout, self.read_timeout, self.retries)

    @classmethod
    def load(cls, home: Path | None = None) -> Settings:
        """Read the settings: defaults, then ``settings.toml``.

        Parameters
        ----------
        home : keep configuration, archive and state under this folder; else ``DICOMDOCK_HOME``, else the
            system's places for each.

        Raises
        ------
        InvalidInput
            ``settings.toml`` cannot be read, names something unknown, or gives a value that cannot be.
        """
        if home is None and (named := os.environ.get("DICOMDOCK_HOME")):
            home = Path(named)
        if home is not None:
            home = home.expanduser().absolute()
            settings = cls(home / "config", home / "archive", home / "state")
        else:
            import platformdirs

            folders = platformdirs.PlatformDirs("dicomdock", appauthor=False)
            settings = cls(
                Path(folders.user_config_dir),
                Path(folders.user_data_dir) / "archive",
                Path(folders.user_state_dir),
            )
        return settings.overlaid()

    def change(self, **values: str | int | float | Path) -> Settings:
        """Write settings to ``settings.toml`` and return the settings as they are then.

        Raises
        ------
        InvalidInput
            The file cannot be read or written, or a value is none that the setting can have; the file then
            stays as it was.
        """
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

        def edit(table: Table) -> Table:
            changed = {**table, **plain}
            self._with(changed, file.path)  # refuses what cannot be
            return changed

        file = TomlFile(self.config / FILE)
        try:
            file.change(edit)
        except OSError as error:
            raise InvalidInput(
                f"The settings file {file.path} cannot be written: {error.strerror}."
            ) from error
        except ValueError as error:
            raise InvalidInput(f"The settings file {file.path} cannot be read: {error}.") from error
        return self.overlaid()

    def overlaid(self) -> Settings:
        """Return these settings with what ``settings.toml`` in the configuration folder says instead."""
        file = TomlFile(self.config / FILE)
        try:
            return self._with(file.read(), file.path)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"The settings file {file.path} cannot be read: {error}.") from error

    def current(self) -> Settings:
        """Return the settings as their file is now; these, where it cannot be read."""
        try:
            return self.overlaid()
        except InvalidInput:
            return self

    def _with(self, table: Table, file: Path) -> Settings:
        for key in table:
            if key in NOT_IN_FILE or key not in {item.name for item in fields(self)}:
                raise InvalidInput(f"{file} names {key!r}, which is not a setting of dicomdock.")
        url = table.get("archive", "")
        try:
            if not isinstance(url, str) or "://" not in url:
                values = read_values(Settings, table, f"{file}: ")
                return replace(self, object_store="" if url else self.object_store, **values)  # type: ignore[arg-type]
            url = checked_url(url)
            values = read_values(Settings, {**table, "archive": self._folder_of(url)}, f"{file}: ")
        except Wrong as wrong:
            raise InvalidInput(str(wrong)) from None
        return replace(self, object_store=url, **values)  # type: ignore[arg-type]

    def _folder_of(self, url: str) -> str:
        """Return the folder of the index and the cache of an archive in an object store."""
        return str(self.state / "object-stores" / hashlib.sha256(url.encode()).hexdigest()[:16])


def checked_url(url: str) -> str:
    """Return the URL of an object store as it is compared and stored.

    Raises
    ------
    Wrong
        It is of another kind, names no bucket, or holds more than a bucket and a prefix.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in OBJECT_STORES:
        kinds = ", ".join(f"{kind}://" for kind in OBJECT_STORES)
        raise Wrong(f"The setting 'archive' must be a folder or a URL that begins with {kinds}.")
    if "@" in rest or "?" in rest or "#" in rest:  # never repeated: it may hold a key
        raise Wrong(
            "The setting 'archive' must be a URL of a bucket and a prefix alone; credentials belong in the "
            "environment or a profile of the provider."
        )
    rest = "/".join(part for part in rest.split("/") if part)
    if not rest:
        raise Wrong(f"The setting 'archive' names no bucket; write {scheme}://BUCKET/PREFIX.")
    return f"{scheme}://{rest}"
