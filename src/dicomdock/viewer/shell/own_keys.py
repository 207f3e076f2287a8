"""The keys of the viewer as the user has them: shown, changed, saved in the preferences."""

from __future__ import annotations

from typing import Any

from dicomdock.config.preferences import Preferences
from dicomdock.config.settings import Settings
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.shell import keys
from dicomdock.viewer.shell.state import KeysState

PREFERENCE = "viewer.keys"
"""An action's name to its key, of those that the user has changed; empty for no key."""


class OwnKeys:
    """The keys that hold; what each does is in ``shell.keys``."""

    def __init__(self, server: Any, settings: Settings, notifications: Notifications) -> None:
        self._settings, self._notifications = settings, notifications
        self.state = PageState(server.state, KeysState)
        server.controller.reset_keys = self.reset
        server.controller.trigger("bind")(self.bind)
        self.read()

    def read(self) -> None:
        """Show what the preferences say; another viewer may have changed it."""
        self._show(self._changes(Preferences(self._settings)))

    def bind(self, name: str, key: str) -> None:
        """Assign another key to an action, or none where it is empty; where it cannot have it, say why."""
        with self.state as data:
            action = keys.NAMED.get(name)
            if action is None or not action.changeable:
                return
            preferences = Preferences(self._settings)
            changes = self._changes(preferences)
            data.key_problem = keys.problem(keys.chosen(changes), name, key)
            if data.key_problem:
                return
            data.key_asked = ""
            changes.pop(name, None)
            if action.keys != ((key,) if key else ()):
                changes[name] = key
            self._store(preferences, changes)

    def ask_no_more(self) -> None:
        """Await no key, where the list of keys is closed."""
        with self.state as data:
            data.key_asked = data.key_problem = ""

    def reset(self) -> None:
        """Restore the usual key of every action."""
        self._store(Preferences(self._settings), {})

    def _store(self, preferences: Preferences, changes: dict[str, str]) -> None:
        try:
            preferences.set(PREFERENCE, dict(changes) or None)
        except OSError as error:
            reason = error.strerror or error
            self._notifications.error(
                f"The keys hold until the viewer is closed: they were not stored ({reason})."
            )
        self._show(changes)

    def _show(self, changes: dict[str, str]) -> None:
        held = keys.chosen(changes)
        with self.state as data:
            data.key_actions = {str(when): actions for when, actions in keys.by_context(held).items()}
            data.key_labels = keys.labels(held)
            data.keys_changed = bool(changes)

    @staticmethod
    def _changes(preferences: Preferences) -> dict[str, str]:
        stored: Any = preferences.get(PREFERENCE)
        if not isinstance(stored, dict):
            return {}
        return {name: key for name, key in stored.items() if isinstance(key, str)}
