"""Files named by the user, as parts to be pushed; each is sent or named with the reason why not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicomdock.archive.walk import Failure, cause, files_below
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.sources import Part, StoreResult

NO_UIDS = "It has no usable study, series and SOP Instance UIDs."
PACKED = "It is a packed file; unpack it, or import it and send what it held."


@dataclass(frozen=True, slots=True)
class Unsent:
    """A file that is not sent.

    Parameters
    ----------
    path : the file or folder; where there is none, the instance.
    result : the outcome: ``failed``, or ``duplicate`` where the same bytes are sent from elsewhere.
    """

    path: str
    result: StoreResult


@dataclass(frozen=True, slots=True)
class Selection:
    """What a push sends, and what of that which was named it does not send.

    Parameters
    ----------
    parts : instances, each named by its ``resource``, no two alike.
    unsent : the rest, each with its reason.
    passed_over : files of folders that are not DICOM.
    """

    parts: tuple[Part, ...]
    unsent: tuple[Unsent, ...] = ()
    passed_over: int = 0

    @classmethod
    def of(cls, parts: Iterable[Part], unsent: Iterable[Unsent] = (), passed_over: int = 0) -> Selection:
        """Return a selection of parts; of several of one instance the first is sent, the others are named."""
        chosen: dict[Resource, Part] = {}
        left = [*unsent]
        for part in parts:
            assert part.resource is not None
            first = chosen.setdefault(part.resource, part)
            if first is not part:
                left.append(_second(part, first))
        return cls(tuple(chosen.values()), tuple(left), passed_over)


def select_files(paths: Sequence[Path]) -> Selection:
    """Return the DICOM instances in files and, recursively, folders.

    Inside a folder what is not DICOM is counted, and a DICOMDIR ignored. What looks like DICOM, is named so,
    or is packed, and cannot be sent is among the unsent.

    Raises
    ------
    InvalidInput
        A path does not exist, a file named by itself cannot be read or is not DICOM, or nothing was found.
    """
    parts: list[Part] = []
    unsent: list[Unsent] = []
    passed_over = 0
    for path in paths:
        for found in _found(path):
            if isinstance(found, Part):
                parts.append(found)
            elif found is not None:
                unsent.append(found)
            else:
                passed_over += 1
    if paths and not (parts or unsent):
        raise InvalidInput(f"There is no DICOM file in {', '.join(map(str, paths))}.")
    return Selection.of(parts, unsent, passed_over)


def parts_of_files(paths: Sequence[Path]) -> list[Part]:
    """Return the parts of ``select_files``."""
    return [*select_files(paths).parts]


def _found(path: Path) -> Iterator[Part | Unsent | None]:
    """Return what becomes of each file; None where it is not DICOM."""
    if path.is_dir():
        for file in files_below(path):
            if isinstance(file, Failure):
                yield _failed(file.path, file.reason)
            elif not file.is_file():  # a socket or device would never end
                yield None
            else:
                yield from _inspected(file)
    elif path.is_file():
        try:
            alone = _identified(path)
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error
        if alone is None:
            raise InvalidInput(_why_none(path))
        yield alone
    else:
        raise InvalidInput(f"There is no file or folder {path}.")


def _inspected(file: Path) -> Iterator[Part | Unsent | None]:
    """Return what becomes of a file of a folder: nothing of a DICOMDIR, None where it is not DICOM."""
    from dicomdock.dicom.part10 import is_dicomdir

    try:
        if (part := _identified(file)) is not None:
            yield part
        elif _is_packed(head := _head(file)):
            yield _failed(file, PACKED)
        elif not is_dicomdir(head):
            yield _failed(file, NO_UIDS) if _is_meant_as_dicom(file, head) else None
    except OSError as error:
        yield _failed(file, cause(error))


def _why_none(file: Path) -> str:
    """Return why a file that was named by itself cannot be sent."""
    from dicomdock.dicom.part10 import is_dicomdir

    head = _head(file)
    if _is_packed(head):
        return f"{file} was not sent: {PACKED}"
    if is_dicomdir(head):
        return f"{file} is a DICOMDIR, which only names files; name its folder."
    return f"{file} is not a DICOM file with study, series and instance UIDs."


def _identified(file: Path) -> Part | None:
    from dicomdock.dicom.part10 import identify_file

    with file.open("rb") as opened:
        resource = identify_file(opened)
    return None if resource is None else Part.from_file(file, resource=resource)


def _is_meant_as_dicom(file: Path, head: bytes) -> bool:
    """Return whether a file looks like DICOM or is named so, as an import decides it."""
    from dicomdock.archive.ingest import NAMED_LIKE_DICOM
    from dicomdock.dicom.part10 import looks_like_dicom

    return looks_like_dicom(head) or file.suffix.lower() in NAMED_LIKE_DICOM


def _is_packed(head: bytes) -> bool:
    from dicomdock.archive.packed import is_packed, other_packing

    return is_packed(head) or bool(other_packing(head))


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(1 << 12)


def _failed(path: Path, reason: str) -> Unsent:
    return Unsent(str(path), StoreResult("", "failed", None, f"{path} was not sent: {reason}"))


def _second(part: Part, first: Part) -> Unsent:
    """Return the outcome of a part whose UIDs an earlier one has."""
    uid = part.resource.instance or "" if part.resource else ""
    name, other = (str(one.path or one.resource) for one in (part, first))
    try:
        same = part.length == first.length and _digest(part) == _digest(first)
    except OSError as error:
        return Unsent(name, StoreResult(uid, "failed", None, f"{name} was not sent: {cause(error)}"))
    if same:
        return Unsent(name, StoreResult(uid, "duplicate", None, f"{name} has the same bytes as {other}"))
    reason = f"{name} was not sent: {other}, which was, has the same UIDs and other bytes"
    return Unsent(name, StoreResult(uid, "failed", None, reason))


def _digest(part: Part) -> bytes:
    digest = hashlib.sha256()
    for chunk in part.chunks():
        digest.update(chunk)
    return digest.digest()
