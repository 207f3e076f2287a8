r"""Windows: keys below ``HKCU\Software\Classes``, without administrator rights.

Not run on Windows; tested on a registry in memory. 3D Slicer registers ``Slicer`` there both for links and
for its .mrb and .mrml files. So what stands in the key is read, recorded and restored value by value, and a
file that now comes to us is handed on to the program it was meant for.

References
----------
Microsoft: "Registering an Application to a URI Scheme".
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.register.common import Record, SchemeStatus

_CLASSES = r"Software\Classes"
_CHOICE = r"Software\Microsoft\Windows\Shell\Associations\UrlAssociations\{scheme}\UserChoice"
_COMMAND = r"\shell\open\command"
_KEYS = ("", r"\DefaultIcon", r"\shell", r"\shell\open", _COMMAND)  # from the outermost to the innermost
_VALUES = ("", "URL Protocol")  # all that we write
_ASSOCIATIONS_CHANGED = 0x08000000  # SHCNE_ASSOCCHANGED

Values: TypeAlias = "dict[str, list[Any]]"  # name -> [value, type]; the default value has the empty name


class WindowsRegistrar:
    """Registration for the user.

    Parameters
    ----------
    settings : whose dock the links are for.
    registry : the module ``winreg``, or one that behaves so.
    opener : the installed ``dicomdock-open.exe``; where pip put it by default.
    refresh : notifies the desktop that registrations changed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        registry: Any = None,  # the module winreg, which exists on Windows only
        opener: Path | None = None,
        refresh: Callable[[], None] | None = None,
    ) -> None:
        self._registry = registry or importlib.import_module("winreg")
        self._record = Record(settings)
        self._opener = opener or Path(sysconfig.get_path("scripts")) / "dicomdock-open.exe"
        self._refresh = refresh or _tell_desktop
        self._command = f'"{self._opener}" "%1"'

    def status(self, scheme: str) -> SchemeStatus:
        """Read who opens the scheme: the user's choice goes before the keys."""
        again = f"run `dicomdock register --scheme {scheme}`"
        chosen = self._values(_CHOICE.format(scheme=scheme)).get("ProgId", [""])[0]
        if chosen and chosen.lower() != scheme:
            remedy = f"Windows gives {scheme}:// links to {chosen}; change it under Settings > Default apps."
            return SchemeStatus(scheme, "other", str(chosen), remedy)
        command = self._current(scheme)
        if not command:
            return SchemeStatus(scheme, "free")
        program = _program(command)
        if command == self._command:
            if self._opener.exists():
                return SchemeStatus(scheme, "ours", "dicomdock")
            return SchemeStatus(
                scheme, "broken", "dicomdock", f"{self._opener} is gone; reinstall dicomdock, then {again}."
            )
        if _is_opener(command):
            remedy = (
                f"{scheme}:// links are tied to another installation ({program}); to use this one, {again}."
            )
            return SchemeStatus(scheme, "ours", "another installation of dicomdock", remedy)
        remedy = (
            f"{program} opens {scheme}:// links now; to give them to dicomdock, {again}; it keeps its files."
        )
        return SchemeStatus(scheme, "other", program, remedy)

    def register(self, scheme: str) -> None:
        """Write the keys; their earlier values are recorded for ``unregister`` and for files."""
        if not self._opener.exists():
            raise LaunchError(
                f"{self._opener} is not there; reinstall dicomdock with pip, then register again."
            )
        current = self._current(scheme)
        if not _is_opener(current):  # else what was before us is remembered already
            self._record.set(scheme, {"keys": self._snapshot(scheme), "command": current})
        base = self._base(scheme)
        text = self._registry.REG_SZ
        self._write(base, {"": [f"URL:{scheme} Protocol", text], "URL Protocol": ["", text]})
        self._write(base + r"\DefaultIcon", {"": [f"{self._opener},0", text]})
        self._write(base + _COMMAND, {"": [self._command, text]})
        self._refresh()

    def unregister(self, scheme: str) -> None:
        """Put the keys back as they were; keys that somebody else wrote since then are left alone."""
        before = self._record.get(scheme)
        if self._values(self._base(scheme) + _COMMAND).get("", [""])[0] == self._command:
            keys = before["keys"] if before else {}
            for suffix in reversed(_KEYS):
                self._restore(self._base(scheme) + suffix, keys.get(suffix))
            self._refresh()
        self._record.forget(scheme)

    def _base(self, scheme: str) -> str:
        return f"{_CLASSES}\\{scheme}"

    def _current(self, scheme: str) -> str:
        """Return the command that opens the scheme, of the user or else of the machine."""
        for root in (self._registry.HKEY_CURRENT_USER, self._registry.HKEY_LOCAL_MACHINE):
            if command := self._values(self._base(scheme) + _COMMAND, root).get("", [""])[0]:
                return str(command)
        return ""

    def _snapshot(self, scheme: str) -> dict[str, Values]:
        """Return what our values hold now, for each of our keys that exists."""
        paths = {suffix: self._base(scheme) + suffix for suffix in _KEYS}
        return {
            suffix: {name: value for name, value in self._values(path).items() if name in _VALUES}
            for suffix, path in paths.items()
            if self._exists(path)
        }

    def _values(self, path: str, root: Any = None) -> Values:
        registry = self._registry
        values: Values = {}
        try:
            with registry.OpenKey(root or registry.HKEY_CURRENT_USER, path) as key:
                for index in range(registry.QueryInfoKey(key)[1]):
                    name, value, kind = registry.EnumValue(key, index)
                    values[name] = [value, kind]
        except FileNotFoundError:
            return {}
        return values

    def _exists(self, path: str) -> bool:
        try:
            self._registry.OpenKey(self._registry.HKEY_CURRENT_USER, path).Close()
        except FileNotFoundError:
            return False
        return True

    def _write(self, path: str, values: Values) -> None:
        with self._registry.CreateKeyEx(
            self._registry.HKEY_CURRENT_USER, path, 0, self._registry.KEY_WRITE
        ) as key:
            for name, (value, kind) in values.items():
                self._registry.SetValueEx(key, name, 0, kind, value)

    def _restore(self, path: str, before: Values | None) -> None:
        """Restore the former values of one key; remove it if it was not there and holds nothing else."""
        registry = self._registry
        if not self._exists(path):
            return
        with registry.OpenKey(registry.HKEY_CURRENT_USER, path, 0, registry.KEY_ALL_ACCESS) as key:
            for name in _VALUES:
                if name in self._values(path) and name not in (before or {}):
                    registry.DeleteValue(key, name)
            subkeys, left, _ = registry.QueryInfoKey(key)
        self._write(path, before or {})
        if before is None and not subkeys and not left:
            registry.DeleteKey(registry.HKEY_CURRENT_USER, path)


def hand_on(
    arguments: Sequence[str], settings: Settings, start: Callable[[list[str]], object] = subprocess.Popen
) -> bool:
    """Pass a file to the program that had the ``slicer`` key before us; return whether there was one.

    Parameters
    ----------
    arguments : what the desktop started us with: one existing file.
    settings : whose registration.
    start : how programs are started.
    """
    before = Record(settings).get("slicer")
    if len(arguments) != 1 or not before or not before.get("command") or not Path(arguments[0]).is_file():
        return False
    words = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', before["command"])]
    file = os.path.abspath(arguments[0])  # noqa: PTH100 - never an option to the program, however it is named
    start([word.replace("%1", file).replace("%L", file) for word in words])
    return True


def _program(command: str) -> str:
    match = re.match(r'\s*(?:"([^"]*)"|(\S+))', command)
    return (match[1] or match[2]) if match else ""


def _is_opener(command: str) -> bool:
    return _program(command).replace("\\", "/").lower().endswith("/dicomdock-open.exe")


def _tell_desktop() -> None:
    import ctypes

    shell: Any = getattr(ctypes, "windll").shell32  # noqa: B009 - it exists on Windows only
    shell.SHChangeNotify(_ASSOCIATIONS_CHANGED, 0, None, None)
