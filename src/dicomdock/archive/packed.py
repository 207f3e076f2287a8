"""Read packed files: the members of a zip file, what is in a gzip file, and the files that a DICOMDIR names.

Nothing is unpacked to disk by its own name. How much a packed file may become is bounded, because a megabyte
can be made to hold gigabytes.

References
----------
PS3.10 §8.6 (DICOMDIR); PS3.3 §F.3.2.2 (directory records).
"""

from __future__ import annotations

import bz2
import copy
import gzip
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final, Self

from dicomdock.errors import WireError
from dicomdock.sources import CHUNK

UNPACKED: Final = 1 << 28  # bytes that any packed file may become, or ...
RATIO: Final = 100  # ... so many times its own size
MEMBERS: Final = 200_000  # files in one zip file
LONGEST_DICOMDIR: Final = 64 << 20  # bytes; enough for some 100,000 records
DEPTH: Final = 64  # components of a name in a DICOMDIR; PS3.10 §8.5 has at most 8
UNPACK_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, UnicodeDecodeError),
    *(EOFError, OverflowError, RuntimeError, NotImplementedError),
)
"""What a packed file that is damaged, encrypted or of an unknown method raises while it is read."""

_RECORDS, _FILE_ID = 0x00041220, 0x00041500  # Directory Record Sequence, Referenced File ID

DICOMDIR: Final = "dicomdir"
"""Its name, in any case (PS3.10 §8.6)."""

_OTHERS: Final = (
    (257, b"ustar", "a tar file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\0", "an xz file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (0, b"Rar!\x1a\x07", "a RAR file"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (0, b"\x1f\x9d", "a file of compress"),
    (0, b"PK\7\x08", "a zip file in several parts"),
    (0x8001, b"CD001", "an image of a disk"),  # ECMA-119 §8.4.2
)
"""Where such a file has which bytes, and what it is called."""

NAMED_LIKE_PACKED: Final = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".zst", ".7z", ".rar")

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
    opener: Callable[[], IO[bytes] | gzip.GzipFile | _Unpacked]
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


def other_packing(head: bytes) -> str:
    """Return what a file is that begins so, which holds files and is not read; empty for any other."""
    return next((kind for at, mark, kind in _OTHERS if head[at : at + len(mark)] == mark), "")


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
    if not infos:
        archive.close()
        raise WireError("The zip file holds no files.")
    if len(infos) > MEMBERS:
        archive.close()
        raise WireError(f"The zip file has more than {MEMBERS} files; unpack it first.")
    # Left open until the last member is read: they are read by other threads, later.
    for info in infos:
        yield Member(path / _printable(info.filename), partial(_opened, archive, info), allowance)


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes] | _Unpacked:
    """Open a member so that no more of it is unpacked at once than is asked for.

    ``zipfile`` sees to that for the usual methods only: of a few bytes in the others it makes gigabytes.
    """
    if info.flag_bits & 1:
        raise zipfile.BadZipFile("It is encrypted")
    if info.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return archive.open(info)
    as_stored = copy.copy(info)
    as_stored.compress_type, as_stored.file_size = zipfile.ZIP_STORED, info.compress_size
    del as_stored.CRC  # is that of the unpacked bytes, and compared with those
    packed = archive.open(as_stored)
    if info.compress_type == zipfile.ZIP_BZIP2:
        return _Unpacked(bz2.BZ2File(packed), info.CRC)
    size = info.file_size if not info.flag_bits & 2 else (1 << 64) - 1  # bit 1: it ends with a mark
    _, properties = struct.unpack("<HH", packed.read(4))
    if properties != 5:
        raise zipfile.BadZipFile("Its LZMA properties are of an unknown size")
    head = packed.read(properties) + struct.pack("<Q", size)
    return _Unpacked(lzma.LZMAFile(_Behind(head, packed), format=lzma.FORMAT_ALONE), info.CRC)  # type: ignore[arg-type]


class _Behind:
    """A file with a few bytes before it."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head = head
        self._file = file

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head or self._file.read(size)

    def seekable(self) -> bool:
        return False


class _Unpacked:
    """What a stream unpacks, compared with its checksum at the end."""

    def __init__(self, stream: bz2.BZ2File | lzma.LZMAFile, checksum: int) -> None:
        self._stream = stream
        self._checksum = checksum
        self._found = 0

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._found = zlib.crc32(chunk, self._found)
        if not chunk and self._found != self._checksum:
            raise zipfile.BadZipFile("Its checksum is wrong")
        return chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


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
    listings: dict[Path, dict[str, str]] = {}
    for names in _file_ids(_beginning(dicomdir)):
        yield _on_disk(dicomdir.parent, names, listings)


def _beginning(dicomdir: Path) -> bytes:
    with dicomdir.open("rb") as file:
        return file.read(LONGEST_DICOMDIR + 1)


def missing_members(found: Sequence[Member]) -> Iterator[Path]:
    """Return the files that DICOMDIRs among the members of a packed file name, and that are not members.

    Raises
    ------
    WireError
        As ``named_by``.
    OSError, and those of ``UNPACK_ERRORS``
        One cannot be unpacked.
    """
    from dicomdock.dicom.part10 import is_dicomdir

    there = {tuple(map(_plain, one.name.parts)) for one in found}
    for one in found:
        if one.name.name.casefold() != DICOMDIR or not is_dicomdir(data := _first(one, LONGEST_DICOMDIR + 1)):
            continue
        for names in _file_ids(data):
            path = one.name.parent.joinpath(*names)
            if tuple(map(_plain, path.parts)) not in there:
                yield path


def _first(member: Member, size: int) -> bytes:
    """Return the first bytes of a member; the rest is not unpacked."""
    first = bytearray()
    for chunk in member.chunks():
        first += chunk
        if len(first) >= size:
            break
    return bytes(first[:size])


def _file_ids(data: bytes) -> Iterator[list[str]]:
    """Return the files that a DICOMDIR names, by the components of their names; raises as ``named_by``."""
    from dicomdock.dicom.header import Wanted
    from dicomdock.dicom.part10 import read_partial, walk

    if len(data) > LONGEST_DICOMDIR:
        raise WireError(f"The DICOMDIR is longer than {LONGEST_DICOMDIR >> 20} MB.")
    wanted = Wanted(frozenset(), _RECORDS, frozenset({_FILE_ID}), MEMBERS + 1)
    records = read_partial(data, wanted, len(data)).items
    if len(records) > MEMBERS:
        raise WireError(f"The DICOMDIR has more than {MEMBERS} records.")
    unusable = []
    for record in records:
        names = [name.strip(" ") for name in re.split(r"[\\/]", _text(record.get(_FILE_ID, b"")))]
        if names == [""]:
            continue
        if len(names) > DEPTH or any(name in ("", ".", "..") or "\0" in name for name in names):
            unusable.append("/".join(names))
        else:
            yield names
    walk(data, len(data))
    if unusable:
        shown = ", ".join(repr(one[:80]) for one in unusable[:3]) + ("..." if len(unusable) > 3 else "")
        raise WireError(f"Names in the DICOMDIR lead to no file below its folder: {shown}")


def _text(value: bytes) -> str:
    """Return a name, without its padding; media with letters beyond PS3.10 §8.5 have one of two encodings."""
    value = value.strip(b" \0")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _on_disk(folder: Path, names: list[str], listings: dict[Path, dict[str, str]]) -> Path:
    """Return a file's path, also where a copy of a medium has names in other case or with their versions.

    Parameters
    ----------
    listings : the names in the folders that were looked into already; each is listed once.
    """
    for number, name in enumerate(names):
        exact = folder / name
        if not exists(exact):
            if folder not in listings:
                listings[folder] = _listing(folder)
            same = listings[folder].get(_plain(name))
            if same is None:
                return folder.joinpath(*names[number:])
            exact = folder / same
        folder = exact
    return folder


def _listing(folder: Path) -> dict[str, str]:
    try:
        found = sorted(one.name for one in folder.iterdir())
    except OSError:
        return {}
    return {_plain(name): name for name in reversed(found)}


def exists(path: Path) -> bool:
    """Return whether a path exists; one that is too long for the system does not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _plain(name: str) -> str:
    """Return a name without the version and the empty extension that ISO 9660 gives it."""
    return name.partition(";")[0].rstrip(".").casefold()
