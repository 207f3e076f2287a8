"""TrustStore: the origins whose links may act, or that pixels may be sent to.

They are remembered for the user and preset for the machine, in TOML files with one key,
``allow = ["https://pacs.example.org"]``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from dicomdock.config.settings import Settings
from dicomdock.config.toml_file import Table, TomlFile
from dicomdock.errors import InvalidInput, LaunchError
from dicomdock.web.url import Origin

_SYSTEM_FOLDER = (
    Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "dicomdock"
    if sys.platform == "win32"
    else Path("/etc/dicomdock")
)
SYSTEM_FILE = _SYSTEM_FOLDER / "trust.toml"
SYSTEM_PIXELS_FILE = _SYSTEM_FOLDER / "pixels.toml"
_HEADING = "# Links to these servers open without a question. Change it with `dicomdock trust`.\n"
_PIXELS_HEADING = "# Pixels may be sent to these servers. Change it with `dicomdock tool allow`.\n"


@dataclass(frozen=True, slots=True)
class TrustedOrigin:
    """An origin whose links may act.

    Parameters
    ----------
    origin : scheme, host and port.
    source : ``user``, or ``system`` for the machine's preset.
    """

    origin: str
    source: Literal["user", "system"]


class TrustStore:
    """The trusted origins, read anew each time, so that every process sees every change.

    Parameters
    ----------
    settings : whose; the user's file is in the configuration folder.
    system : the machine's preset, written by its administrator.
    name, heading : of the user's file: its name and a comment for its first line.
    """

    def __init__(
        self,
        settings: Settings,
        system: Path = SYSTEM_FILE,
        *,
        name: str = "trust.toml",
        heading: str = _HEADING,
    ) -> None:
        self.file = settings.config / name
        self.system = system
        self._heading = heading

    @classmethod
    def for_pixels(cls, settings: Settings) -> Self:
        """Return the origins that pixels may be sent to for segmentation."""
        return cls(settings, SYSTEM_PIXELS_FILE, name=SYSTEM_PIXELS_FILE.name, heading=_PIXELS_HEADING)

    def origins(self) -> tuple[TrustedOrigin, ...]:
        """Return all trusted origins, the machine's first.

        Raises
        ------
        LaunchError
            A file cannot be read.
        """
        preset = _read(self.system)
        own = [origin for origin in _read(self.file) if origin not in preset]
        return (
            *(TrustedOrigin(origin, "system") for origin in preset),
            *(TrustedOrigin(origin, "user") for origin in own),
        )

    def trusts(self, origin: str) -> bool:
        """Return whether links to this origin may act without a question."""
        return any(entry.origin == origin for entry in self.origins())

    def add(self, origin: str) -> str:
        """Add an origin; return it in its one form.

        Parameters
        ----------
        origin : ``https://HOST[:PORT]``, or the host alone for https; a path behind it is dropped.

        Raises
        ------
        InvalidInput
            It is not an origin.
        """
        origin = _origin(origin)
        self._change(lambda origins: [*(own for own in origins if own != origin), origin])
        return origin

    def revoke(self, origin: str) -> bool:
        """Remove an origin; return whether it was there.

        Raises
        ------
        InvalidInput
            It is not an origin.
        LaunchError
            It is preset for the machine.
        """
        origin = _origin(origin)
        own = _read(self.file)
        if origin in own:
            self._change(lambda origins: [other for other in origins if other != origin])
        if origin in _read(self.system):
            raise LaunchError(
                f"{origin} is trusted for everybody on this machine; its administrator can change "
                f"{self.system}."
            )
        return origin in own

    def _change(self, edit: Callable[[tuple[str, ...]], list[str]]) -> None:
        try:
            TomlFile(self.file).change(
                lambda table: {**table, "allow": edit(_origins(table, self.file))}, heading=self._heading
            )
        except (OSError, ValueError) as error:
            raise _unreadable(self.file, error) from error


def _origin(text: str) -> str:
    text = text.strip()
    try:
        return str(Origin.parse(text if "://" in text else f"https://{text}"))
    except InvalidInput:
        raise InvalidInput(
            f"{text[:80]!r} is not the origin of a server; write it as https://HOST or https://HOST:PORT."
        ) from None


def _read(file: Path) -> tuple[str, ...]:
    try:
        return _origins(TomlFile(file).read(), file)
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def _origins(table: Table, file: Path) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(_origin(origin) for origin in table.get("allow", [])))
    except (InvalidInput, TypeError, AttributeError):
        raise LaunchError(
            f'The list of trusted servers {file} must be like: allow = ["https://pacs.example.org"].'
        ) from None


def _unreadable(file: Path, error: Exception) -> LaunchError:
    return LaunchError(f"The list of trusted servers {file} cannot be read or written: {error}.")
