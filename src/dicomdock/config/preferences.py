"""Preferences: how the user likes the pages; nothing that matters to anything else."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path

from dicomdock.config.settings import Settings
from dicomdock.sources import JsonValue

MAX_BYTES = 1 << 20


class Preferences:
    """Small JSON values by name (theme, columns), in ``preferences.json`` of the state folder."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.state / "preferences.json"
        self._lock = threading.Lock()
        self._values = _read(self._file)

    def get(self, name: str, default: JsonValue = None) -> JsonValue:
        """Give a preference, or the default where the user has none."""
        with self._lock:
            return self._values.get(name, default)

    def set(self, name: str, value: JsonValue) -> None:
        """Keep a preference; None forgets it."""
        with self._lock:
            if value is None:
                self._values.pop(name, None)
            else:
                self._values[name] = value
            self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A preference lost to a full disk is a nuisance; a half-written file would lose them all.
        handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=".preferences-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(self._values, file, indent=1, ensure_ascii=False)
        Path(name).replace(self._file)


def _read(file: Path) -> dict[str, JsonValue]:
    try:
        if file.stat().st_size > MAX_BYTES:
            return {}
        values = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
