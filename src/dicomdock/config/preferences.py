"""Preferences: how the user likes the pages; nothing that matters to anything else."""

from __future__ import annotations

from dicomdock.config.settings import Settings
from dicomdock.config.toml_file import JsonFile, Table
from dicomdock.dicom.json_model import JsonValue

THEMES = ("auto", "light", "dark")
"""The colours of the pages and of the viewer: as the system has them, or always these."""


class Preferences:
    """Small JSON values by name (theme, columns), in ``preferences.json`` of the state folder."""

    def __init__(self, settings: Settings) -> None:
        self._file = JsonFile(settings.state / "preferences.json")
        self._values = self._file.read()

    def get(self, name: str, default: JsonValue = None) -> JsonValue:
        """Return a preference, or the default where the user has none."""
        value: JsonValue = self._values.get(name, default)
        return value

    @property
    def theme(self) -> str:
        """One of ``THEMES``."""
        chosen = self.get("theme")
        return chosen if isinstance(chosen, str) and chosen in THEMES else THEMES[0]

    def set(self, name: str, value: JsonValue) -> None:
        """Store a preference; None removes it.

        Raises
        ------
        OSError
            The file cannot be written.
        """

        def edit(table: Table) -> Table:
            rest = {key: item for key, item in table.items() if key != name}
            return rest if value is None else {**rest, name: value}

        self._values = self._file.change(edit)
