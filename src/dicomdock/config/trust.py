"""TrustStore: the origins whose links may act, remembered for the user and preset for the machine.

Both files are TOML with one key, ``allow = ["https://pacs.example.org"]``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dicomdock.config.settings import Settings
from dicomdock.errors import InvalidInput, LaunchError
from dicomdock.web.url import Origin

SYSTEM_FILE = (
    Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "dicomdock" / "trust.toml"
    if sys.platform == "win32"
    else Path("/etc/dicomdock/trust.toml")
)


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
    settings : whose; the user's file is ``trust.toml`` in the configuration folder, readable by him only.
    system : the machine's preset, written by its administrator.
    """

    def __init__(self, settings: Settings, system: Path = SYSTEM_FILE) -> None:
        self.file = settings.config / "trust.toml"
        self.system = system

    def origins(self) -> tuple[TrustedOrigin, ...]:
        """Give all trusted origins, the machine's first.

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
        """Tell whether links to this origin may act without a question."""
        return any(entry.origin == origin for entry in self.origins())

    def add(self, origin: str) -> str:
        """Remember an origin; give it in its one form.

        Parameters
        ----------
        origin : ``https://HOST[:PORT]``, or the host alone for https; a path behind it is dropped.

        Raises
        ------
        InvalidInput
            It is not an origin.
        """
        origin = _origin(origin)
        self._write([*(own for own in _read(self.file) if own != origin), origin])
        return origin

    def revoke(self, origin: str) -> bool:
        """Forget an origin; tell whether it was remembered.

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
            self._write([other for other in own if other != origin])
        if origin in _read(self.system):
            raise LaunchError(
                f"{origin} is trusted for everybody on this machine; its administrator can change "
                f"{self.system}."
            )
        return origin in own

    def _write(self, origins: list[str]) -> None:
        import tomli_w

        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = "# Links to these servers open without a question. Change it with `dicomdock trust`.\n"
        text += tomli_w.dumps({"allow": origins})
        descriptor, name = tempfile.mkstemp(dir=self.file.parent, prefix=".trust")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(self.file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


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
        table = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LaunchError(f"The list of trusted servers {file} cannot be read: {error}.") from error
    origins = table.get("allow", [])
    try:
        return tuple(dict.fromkeys(_origin(origin) for origin in origins))
    except (InvalidInput, TypeError, AttributeError):
        raise LaunchError(
            f'The list of trusted servers {file} must be like: allow = ["https://pacs.example.org"].'
        ) from None
