"""Read packed files: the members of a zip file, what is in a gzip file, and the files that a DICOMDIR names.

Nothing is unpacked to disk by its own name. How much a packed file may become is bounded, because a megabyte
can be made to hold gigabytes.

References
----------
PS3.10 §8.6 (DICOMDIR); PS3.3 §F.3.2.2 (directory records).
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Final

from dicomdock.errors import WireError
from dicomdock.sources import CHUNK

UNPACKED: Final = 1 << 28  # bytes that any packed file may become, or ...
RATIO: Final = 100  # ... so many times its own size
MEMBERS: Final = 200_000  # files in one zip file
UNPACK_ERRORS: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What a packed file that is damaged, encrypted or of an unknown method raises while it is read."""

_ZIP, _EMPTY_ZIP, _GZIP = b"PK\3\4", b"PK\5\6", b"\x1f\x8b"


class Allowance:
    """The bytes that a packed file may still become."""

    def __init__(self, size: int) -> None:
        self._left = max(UNPACKED, RATIO * size)
        self._most = self._left

    def spend(self, size: int) -> None:
        """Count unpacked bytes.

        Raises
        ------
        WireError
            There are more than are allowed.
        """
        self._left -= size  # a race between threads only moves the limit a little
        if self._left < 0:
            raise WireError(
                f"It becomes more than {self._most >> 20} MB when it is unpacked, which is refused."
            )


@dataclass(frozen=True)
class Member:
    """One file inside a packed one.

    Parameters
    ----------
    name : the packed file with the member's name behind it, for people only; never a path to write to.
    """

    name: Path
    opener: Callable[[], IO[bytes] | gzip.GzipFile]
    allowance: Allowance

    def chunks(self) -> Iterator[bytes]:
        """Read its bytes, within what is allowed."""
        with self.opener() as file:
            while chunk := file.read(CHUNK):
                self.allowance.spend(len(chunk))
                yield chunk


def is_packed(head: bytes) -> bool:
    """Return whether a file that begins so is a zip or gzip file."""
    return head[:4] in (_ZIP, _EMPTY_ZIP) or head[:2] == _GZIP


def is_tar(head: bytes) -> bool:
    """Return whether a file that begins so is a tar file."""
    return head[257:262] == b"ustar"


def members(path: Path) -> Iterator[Member]:
    """Return the files in a packed one.

    Raises
    ------
    WireError
        It cannot be read, or has too many.
    OSError
    """
    allowance = Allowance(path.stat().st_size)
    with path.open("rb") as file:
        zipped = file.read(4) in (_ZIP, _EMPTY_ZIP)
    if not zipped:
        yield Member(path, partial(gzip.GzipFile, path), allowance)
        return
    try:
        archive = zipfile.ZipFile(path)
    except UNPACK_ERRORS as error:
        raise WireError(f"The zip file cannot be read: {error}.") from error
    if min((info.header_offset for info in archive.infolist()), default=0):
        # The directory of a zip file in it was read as its own.
        archive.close()
        raise WireError("The zip file cannot be read: it is cut off before its directory.")
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MEMBERS:
        archive.close()
        raise WireError(f"The zip file has more than {MEMBERS} files; unpack it first.")
    # Left open until the last member is read: they are read by other threads, later.
    for info in infos:
        yield Member(path / _printable(info.filename), partial(archive.open, info), allowance)


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name).lstrip("/") or "?"


def named_by(dicomdir: Path) -> Iterator[Path]:
    """Return the files that a DICOMDIR names, below its folder; also those that are not there.

    Raises
    ------
    WireError
        It cannot be read; or, after the files, it is cut off or has names that lead out of its folder.
    OSError
    """
    from dicomdock.dicom.dataset import READ_ERRORS, read_dataset
    from dicomdock.dicom.part10 import walk

    data = dicomdir.read_bytes()
    dataset = read_dataset(BytesIO(data))
    try:
        records = list(dataset.get("DirectoryRecordSequence") or ())
        named = [record.get("ReferencedFileID") for record in records]
    except READ_ERRORS as error:
        raise WireError(f"The DICOMDIR cannot be read: {error}.") from error
    unusable = []
    for value in filter(None, named):
        joined = value if isinstance(value, str) else "/".join(map(str, value))
        names = joined.split("/")
        if any(name in ("", ".", "..") or "\0" in name for name in names):
            unusable.append(joined)
        else:
            yield _on_disk(dicomdir.parent, names)
    walk(data, len(data))
    if unusable:
        shown = ", ".join(repr(one[:80]) for one in unusable[:3]) + ("..." if len(unusable) > 3 else "")
        raise WireError(f"Names in the DICOMDIR lead to no file below its folder: {shown}")


def _on_disk(folder: Path, names: list[str]) -> Path:
    """Return a file's path, also where a copy of a medium has names in other case or with their versions."""
    for name in names:
        exact = folder / name
        if not exact.exists() and folder.is_dir():
            same = (one for one in folder.iterdir() if _plain(one.name) == _plain(name))
            exact = next(same, exact)
        folder = exact
    return folder


def _plain(name: str) -> str:
    """Return a name without the version and the empty extension that ISO 9660 gives it."""
    return name.partition(";")[0].rstrip(".").casefold()
