"""Small files that several processes change: read, changed and written under one lock."""

from __future__ import annotations

import contextlib
import json
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dicomdock.config.home import private_folder, write_private
from dicomdock.config.lock import FileLock, NoLocks

Table = dict[str, Any]

_this_process = threading.RLock()


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other threads and processes from changing a file meanwhile.

    Where the file system has no locks at all, other threads only: a change is still whole, and of two at the
    same moment the later one counts.

    Raises
    ------
    OSError
        The file's folder cannot be made or written.
    """
    private_folder(file.parent)
    with _this_process:
        lock = FileLock(file.with_name(f".{file.name}.lock"))
        with contextlib.suppress(NoLocks):
            lock.acquire(wait=True)
        try:
            yield
        finally:
            lock.release()


class TomlFile:
    """A TOML file of the user's.

    Parameters
    ----------
    path : where it is; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Table:
        """Return what the file says; empty where there is none.

        Raises
        ------
        OSError, ValueError
            It cannot be read, or is not TOML.
        """
        try:
            text = self.path.read_text("utf-8-sig")
        except FileNotFoundError:
            return {}
        return tomllib.loads(text)

    def change(self, edit: Callable[[Table], Mapping[str, Any]], *, heading: str = "") -> None:
        """Replace what the file says, with nobody else changing it in between.

        Parameters
        ----------
        edit : takes what the file says now and returns what it shall say.
        heading : a comment for its first line.

        Raises
        ------
        OSError, ValueError
            It cannot be read or written, or is not TOML; it stays as it was.
        """
        import tomli_w

        with locked(self.path):
            write_private(self.path, (heading + tomli_w.dumps(edit(self.read()))).encode())


class JsonFile:
    """A JSON file of the program's own; one that cannot be read counts as empty.

    Parameters
    ----------
    path : where it is; it need not be there.
    most : bytes beyond which the file is none of ours.
    """

    def __init__(self, path: Path, *, most: int = 1 << 20) -> None:
        self.path = path
        self._most = most

    def read(self) -> Table:
        """Return what the file says; empty where there is none, or nothing that could be read."""
        try:
            if self.path.stat().st_size > self._most:
                return {}
            table = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return table if isinstance(table, dict) else {}

    def change(self, edit: Callable[[Table], Mapping[str, Any]]) -> Table:
        """Replace what the file says, with nobody else changing it in between; return what it says now.

        Raises
        ------
        OSError
            It cannot be written; it stays as it was.
        """
        with locked(self.path):
            table = dict(edit(self.read()))
            write_private(self.path, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())
        return table
