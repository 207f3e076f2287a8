"""Settings: where things are kept and how much is allowed, read once at the rim and handed on."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from dicomdock.config.toml_file import Table, TomlFile
from dicomdock.errors import InvalidInput
from dicomdock.web.options import ConnectionOptions

FILE = "settings.toml"
MIB = 1 << 20
MOST_WORKERS = 64  # threads of one kind; more only wait for each other, and no server likes them
_RANGES: Mapping[str, tuple[float, float]] = {
    "port": (1, 65535),
    "series_workers": (1, MOST_WORKERS),
    "instance_workers": (1, MOST_WORKERS),
    "store_workers": (1, MOST_WORKERS),
    "store_batch": (1, math.inf),
    "connect_timeout": (0.1, 86400),
    "read_timeout": (0.1, 86400),
}  # of the others anything from 0


@dataclass(frozen=True)
class Settings:
    """What every part of dicomdock is told.

    Parameters
    ----------
    config : folder of profiles, trusted origins and ``settings.toml``.
    archive : folder of the local archive.
    state : folder of transfers, sockets and logs.
    database : SQLAlchemy URL of the archive's index; empty for SQLite inside the archive folder.
    port : TCP port of the dock on 127.0.0.1; the next free one is taken when it is busy.
    series_workers : series streams side by side in a pull.
    instance_workers : single-instance requests side by side, to resume or where a server retrieves no series.
    store_workers : upload batches side by side; measured best at 4 against Orthanc.
    store_batch : bytes; an upload batch is closed when it reaches this.
    connect_timeout : seconds until a host that does not answer is given up.
    read_timeout : seconds without a byte until an answer is given up; servers may prepare a series for long.
    retries : further tries after 408, 429, 5xx or a dropped connection.
    archive_limit : bytes that the archive may hold before the least recently used go; 0 for no limit.
    free_space_floor : bytes that must stay free on the archive's disk; transfers stop before.
    query_cache_age : seconds that a search answer is shown without being asked anew.
    viewer_patience : seconds that a viewer waits for its closed page to come back before it ends.
    """

    config: Path
    archive: Path
    state: Path
    database: str = ""
    port: int = 2042
    series_workers: int = 4
    instance_workers: int = 8
    store_workers: int = 4
    store_batch: int = 32 * MIB
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    retries: int = 4
    archive_limit: int = 0
    free_space_floor: int = 256 * MIB
    query_cache_age: float = 300.0
    viewer_patience: float = 1800.0

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

    def _with(self, table: Table, file: Path) -> Settings:
        known = {item.name: item for item in fields(self)}
        values: dict[str, object] = {}
        for key, value in table.items():
            if key not in known or key in ("config", "state"):
                raise InvalidInput(f"{file} names {key!r}, which is not a setting of dicomdock.")
            current = getattr(self, key)
            if isinstance(current, Path) and isinstance(value, str):
                value = Path(value).expanduser().absolute()
            elif isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            elif not isinstance(value, type(current)) or isinstance(value, bool):
                raise InvalidInput(f"{file}: {key} must be like {current!r}, not {value!r}.")
            if isinstance(value, (int, float)):
                least, most = _RANGES.get(key, (0, math.inf))
                if not least <= value <= most:
                    limits = f"at least {least}" if math.isinf(most) else f"from {least} to {most}"
                    raise InvalidInput(f"{file}: {key} must be {limits}, not {value!r}.")
            values[key] = value
        return replace(self, **values)  # type: ignore[arg-type]
