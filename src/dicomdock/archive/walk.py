"""Every file below a folder that the user named, and what below it cannot be looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DANGLING = "It is a link to a file that is not there."
ELSEWHERE = "It is a link to a folder elsewhere, which is not followed; name it by itself."


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be imported, or that something is odd about.

    Parameters
    ----------
    path : the file or folder.
    reason : why, or what, in a sentence.
    """

    path: Path
    reason: str


def files_below(folder: Path) -> Iterator[Path | Failure]:
    """Return the files, folder by folder and by name, and what is left out, with the reason.

    Links to files are files. A link to a folder elsewhere is not followed, since it may lead to the whole
    disk, but named; one to what lies below ``folder`` leaves nothing out.
    """
    unreadable: list[OSError] = []
    inside = Path(os.path.realpath(folder))
    for inner, folders, names in os.walk(folder, onerror=unreadable.append):
        folders.sort()
        for name in folders:
            path = Path(inner, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                yield Failure(path, ELSEWHERE)
        for name in sorted(names):
            path = Path(inner, name)
            yield Failure(path, DANGLING) if path.is_symlink() and not path.exists() else path
        yield from (Failure(Path(error.filename or folder), cause(error)) for error in unreadable)
        unreadable.clear()
    yield from (Failure(Path(error.filename or folder), cause(error)) for error in unreadable)


def cause(error: OSError) -> str:
    """Return why a file cannot be read."""
    return f"It cannot be read: {error.strerror or error}."
