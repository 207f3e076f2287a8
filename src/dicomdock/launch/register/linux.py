"""Linux: a .desktop file with a bare ``%u``, a wrapper at a path without blanks, and ``xdg-mime``.

Each of these is a trap that was fallen into: a quoted or joined ``%u`` arrives damaged or not at all, a
``bash -c`` runs what the link says, a program path with a blank never starts outside GNOME, ``xdg-settings``
reports failure on success.

References
----------
freedesktop.org: Desktop Entry Specification, "The Exec key"; MIME applications specification.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.register.common import (
    ANOTHER_INSTALLATION,
    Record,
    Run,
    SchemeStatus,
    check_python,
    run_command,
    wrapper_problem,
    wrapper_text,
    write_file,
)

DESKTOP_ID = "dicomdock-url.desktop"
_HANDLER = "x-scheme-handler/"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+@:,-]+\Z")
_XDG_UTILS = (
    "install the package xdg-utils (for example: sudo apt install xdg-utils), then run `dicomdock register`"
)


class LinuxRegistrar:
    """Registration for the user, below ``~/.local/share``; nothing needs root.

    Parameters
    ----------
    settings : whose dock the links are for.
    environment : where the folders of the desktop are named.
    run : how commands are run; with that environment by default.
    """

    def __init__(
        self, settings: Settings, *, environment: Mapping[str, str] = os.environ, run: Run = run_command
    ) -> None:
        home = Path(environment.get("HOME") or Path.home())
        self._settings = settings
        self._environment = environment
        self._run = run
        self._record = Record(settings)
        self._data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
        self._config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        self.desktop_file = self._data / "applications" / DESKTOP_ID
        self.wrapper = self._data / "dicomdock" / "bin" / "dicomdock-open"

    def status(self, scheme: str) -> SchemeStatus:
        """Ask the desktop who opens the scheme, and look whether we would start."""
        current, output = self._default(scheme)
        ours = scheme in self._schemes() or self._record.get(scheme) is not None
        if current is None:
            remedy = f"Links cannot be tied to programs ({output}); {_XDG_UTILS}."
            return SchemeStatus(scheme, "broken" if ours else "free", remedy=remedy)
        again = f"run `dicomdock register --scheme {scheme}`"
        if current == DESKTOP_ID:
            return self._ours(scheme, again)
        name = self._name(current)
        if name is None:
            remedy = (
                f"The desktop has forgotten that dicomdock opens {scheme}:// links; {again}." if ours else ""
            )
            return SchemeStatus(scheme, "broken" if ours else "free", "", remedy)
        taken = f"{name} opens {scheme}:// links now; to give them to dicomdock, {again}."
        return SchemeStatus(scheme, "other", f"{name} ({current})", taken)

    def _ours(self, scheme: str, again: str) -> SchemeStatus:
        """Return whether a click would start us."""
        problem = self._problem(scheme)
        if not problem:
            return SchemeStatus(scheme, "ours", "dicomdock")
        if problem.startswith(ANOTHER_INSTALLATION):
            remedy = f"Now {problem}; to use this one, {again}."
            return SchemeStatus(scheme, "ours", "another installation of dicomdock", remedy)
        return SchemeStatus(scheme, "broken", "dicomdock", f"A click would open nothing: {problem}; {again}.")

    def register(self, scheme: str) -> None:
        """Write wrapper and .desktop file, make it the default, and verify that the desktop agrees."""
        check_python(self._run)
        before, output = self._default(scheme)
        if before is None:
            raise LaunchError(f"Links cannot be tied to programs ({output}); {_XDG_UTILS}.")
        if before != DESKTOP_ID:
            self._record.set(scheme, before)
        write_file(self.wrapper, wrapper_text(self._settings), mode=0o755)
        self._write_desktop_file((*self._schemes(), scheme))
        status, output = self._run(("xdg-mime", "default", DESKTOP_ID, _HANDLER + scheme), "")
        after, _ = self._default(scheme)
        if after != DESKTOP_ID:
            answer = f" (xdg-mime answered: {output.strip()[:200]})" if status else ""
            who = self._name(after or "") or "another program"
            raise LaunchError(
                f"The desktop still gives {scheme}:// links to {who}{answer}; choose dicomdock in its "
                "settings of default applications."
            )

    def unregister(self, scheme: str) -> None:
        """Make the former program the default again, and remove what nothing needs any more."""
        before = self._record.get(scheme)
        current, _ = self._default(scheme)
        left = tuple(other for other in self._schemes() if other != scheme)
        if left:
            self._write_desktop_file(left)
        else:
            self.desktop_file.unlink(missing_ok=True)
            self.wrapper.unlink(missing_ok=True)
            self._refresh()
        self._strip_defaults(scheme)
        if current == DESKTOP_ID and isinstance(before, str) and before and self._name(before) is not None:
            self._run(("xdg-mime", "default", before, _HANDLER + scheme), "")
        self._record.forget(scheme)

    def _default(self, scheme: str) -> tuple[str | None, str]:
        """Return the desktop id that opens a scheme, or None and the answer of xdg-mime."""
        status, output = self._run(("xdg-mime", "query", "default", _HANDLER + scheme), "")
        if status in (126, 127):
            return None, output.strip()[:200]
        return (output.strip().splitlines() or [""])[0].rstrip(";"), ""

    def _problem(self, scheme: str) -> str:
        if scheme not in self._schemes():
            return f"the file {self.desktop_file} is gone or damaged"
        if self.desktop_file.read_text("utf-8") != self._desktop_text(self._schemes()):
            return f"the file {self.desktop_file} has been changed"
        return wrapper_problem(self.wrapper, self._settings)

    def _schemes(self) -> tuple[str, ...]:
        """Return the schemes that our .desktop file names."""
        try:
            text = self.desktop_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return ()
        return tuple(re.findall(re.escape(_HANDLER) + r"([a-z]+);", text))

    def _write_desktop_file(self, schemes: tuple[str, ...]) -> None:
        write_file(self.desktop_file, self._desktop_text(schemes), mode=0o644)
        self._refresh()

    def _desktop_text(self, schemes: tuple[str, ...]) -> str:
        types = "".join(f"{_HANDLER}{scheme};" for scheme in sorted(set(schemes)))
        return (
            "[Desktop Entry]\nType=Application\nName=dicomdock\nComment=Opens DICOM studies from links\n"
            f"Exec={self._exec()} %u\nNoDisplay=true\nTerminal=false\nMimeType={types}\n"
        )

    def _exec(self) -> str:
        """Quote the wrapper's path only where that cannot be helped: then KDE and GNOME alone start it."""
        path = os.fspath(self.wrapper)
        if _PLAIN_PATH.match(path):
            return path
        return '"' + re.sub(r'(["`$\\])', r"\\\1", path).replace("\\", "\\\\").replace("%", "%%") + '"'

    def _refresh(self) -> None:
        # Where it is not installed the desktop reads the file itself; the default does not depend on it.
        self._run(("update-desktop-database", os.fspath(self.desktop_file.parent)), "")

    def _name(self, desktop_id: str) -> str | None:
        """Return the name of an application; None when there is no such application."""
        shared = self._environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        for folder in (self._data, *map(Path, filter(None, shared.split(":")))):
            file = folder / "applications" / desktop_id
            if desktop_id and "/" not in desktop_id and file.is_file():
                match = re.search(r"^Name=(.*)$", file.read_text("utf-8", "replace"), re.MULTILINE)
                return match[1].strip() if match else desktop_id
        return None

    def _strip_defaults(self, scheme: str) -> None:
        """Take us out of the lists of defaults; xdg-mime can set a default, not unset one."""
        for folder in (self._config, self._data / "applications"):
            for file in (*folder.glob("mimeapps.list"), *folder.glob("*-mimeapps.list")):
                old = file.read_text("utf-8", "surrogateescape")
                new = "".join(_without_us(line, scheme) for line in old.splitlines(keepends=True))
                if new != old:
                    file.write_text(new, "utf-8", "surrogateescape")


def _without_us(line: str, scheme: str) -> str:
    key, separator, value = line.partition("=")
    if key.strip() != _HANDLER + scheme or not separator:
        return line
    others = [name for name in value.strip().split(";") if name and name != DESKTOP_ID]
    return f"{key}={';'.join(others)}\n" if others else ""
