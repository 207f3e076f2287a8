"""Change ``settings.toml``: whole or not at all, and nothing in it that was not asked for."""

from __future__ import annotations

import os
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings


def change(settings: Settings, **values: str | int | float | Path) -> Settings:
    """Write settings to the file and give the settings as they are now.

    Parameters
    ----------
    settings : those that hold now.
    values : fields of ``Settings`` by name.

    Raises
    ------
    InvalidInput
        The file cannot be read or written, or a value is none that the setting can have.
    """
    import tomli_w

    file = settings.config / "settings.toml"
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        table = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"The settings file {file} cannot be read: {error}.") from error
    table |= {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".settings-") as folder:
            written = Path(folder) / file.name
            with written.open("w", encoding="utf-8") as out:
                out.write(tomli_w.dumps(table))
                out.flush()
                os.fsync(out.fileno())
            written.replace(file)
    except OSError as error:
        raise InvalidInput(f"The settings file {file} cannot be written: {error.strerror}.") from error
    return settings.overlaid()
