"""Export instances as files with readable names, in folders or in one zip file.

``Patient/Study/Series/0001.dcm``; names are made of the index's text, cleaned so that every system takes
them.
"""

from __future__ import annotations

import filecmp
import re
import shutil
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.queries import within
from dicomdock.archive.index.schema import ALL_LEVELS, BY_NUMBER
from dicomdock.archive.storage.backend import Storage
from dicomdock.archive.storage.local import IntegrityCheck, appearing, disk_errors
from dicomdock.config.lock import FileLock, NoLocks
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, InvalidInput

COPIED = 1 << 20  # bytes at a time
NAME_BYTES = 80  # of one folder's name; four of them stay below every system's limit of a path
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|\Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exported:
    """One exported instance.

    Parameters
    ----------
    resource : the instance.
    path : its name below the export folder, or in the zip file.
    size : bytes.
    done, total : how many are written, and how many there are.
    """

    resource: Resource
    path: PurePosixPath
    size: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Planned:
    """One instance to export.

    Parameters
    ----------
    resource : the instance.
    storage : what holds its file.
    key : of its file.
    name : its name below the export folder, or in the zip file.
    size : bytes.
    digest : SHA-256 of the file, hexadecimal.
    """

    resource: Resource
    storage: Storage
    key: str
    name: PurePosixPath
    size: int
    digest: str

    @property
    def source(self) -> Path:
        """Its file on this machine, as ``ArchivedInstance.path``."""
        return self.storage.fetch(self.key)


_PLANNED = f"""
SELECT study."StudyInstanceUID", series."SeriesInstanceUID", instance."SOPInstanceUID", study."PatientName",
    study."PatientID", study."StudyDate", study."StudyDescription", series."SeriesNumber", series."Modality",
    series."SeriesDescription", instance.size, instance.digest
FROM {ALL_LEVELS}
"""


def planned(connection: Connection, storage: Storage, resources: Sequence[Resource]) -> list[Planned]:
    """Choose a name for each instance."""
    namer = Namer()
    found: list[Planned] = []
    seen: set[Resource] = set()
    for resource in resources:
        inside = within(resource)
        for row in connection.each(f"{_PLANNED} WHERE {inside.sql} {BY_NUMBER}", *inside.values):
            place = Resource(*row[:3])
            if place not in seen:
                seen.add(place)
                name = namer.name(place, *row[3:10])
                key = storage.key(row[0], row[1], row[2], row[11])
                found.append(Planned(place, storage, key, name, row[10], row[11]))
    return found


@dataclass(frozen=True, slots=True)
class Copy:
    """What is written of an instance.

    Parameters
    ----------
    resource : the instance, as it leaves.
    name : its name below the export folder, or in the zip file.
    content : the file that is copied, or the bytes.
    size : bytes.
    """

    resource: Resource
    name: PurePosixPath
    content: Path | bytes
    size: int


Write: TypeAlias = Callable[[PurePosixPath, Path | bytes], None]


def unchanged(one: Planned) -> Copy:
    """Return what is written of an instance that is exported byte for byte."""
    return Copy(one.resource, one.name, one.source, one.size)


def export(
    plan: Sequence[Planned],
    target: Path,
    integrity: IntegrityCheck,
    copy: Callable[[Planned], Copy | None] = unchanged,
    *,
    zip: bool = False,  # noqa: A002
) -> Iterator[Exported]:
    """Write instances under a folder, where nothing is overwritten, or into one zip file.

    Parameters
    ----------
    copy : returns what is written of an instance; None where it does not leave.
    zip : the target is a zip file, not compressed further; it appears when it is whole, and holds
        something.

    Raises
    ------
    InvalidInput
        A file of that name is there.
    NoSpace, ArchiveError
        It cannot be written.
    DamagedInstances
        Instances are damaged or missing; the others have been exported.
    """
    damaged: list[Resource] = []
    what = "\n".join(str(one.name) for one in plan)
    with _zip_file(target) if zip else _folder(target, what) as write:
        sources = _fetched(plan)
        for done, one in enumerate(plan, 1):
            next(sources)
            if not integrity.is_intact(one):
                damaged.append(one.resource)
                continue
            made = copy(one)
            if made is not None:
                write(made.name, made.content)
                yield Exported(made.resource, made.name, made.size, done, len(plan))
    if damaged:
        raise DamagedInstances(damaged)


def _fetched(plan: Sequence[Planned]) -> Iterator[Path]:
    """Return the files of all, some of them fetched ahead."""
    return plan[0].storage.fetched(one.key for one in plan) if plan else iter(())


@contextmanager
def unfinished(folder: Path, what: str) -> Iterator[bool]:
    """Mark a folder while an export writes into it; return whether the same was begun there and not ended.

    The mark stays after a crash or an error, so that the same export can be repeated; a name that is taken is
    none.

    Parameters
    ----------
    what : is exported; the same text for the same export.
    """
    mark = folder / f".dicomdock-export-{sha256(what.encode()).hexdigest()[:16]}"
    lock = FileLock(mark)
    with disk_errors(f"Exporting to {folder}"):
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        begun = mark.exists()
        try:
            ours = lock.acquire()
        except NoLocks:
            ours = begun = False
    ended = False
    try:
        yield begun and ours
        ended = True
    except InvalidInput:
        ended = not begun
        raise
    finally:
        lock.release()
        if ended:
            with suppress(OSError):
                mark.unlink()
                if made:
                    folder.rmdir()  # where nothing was written into it


@contextmanager
def _folder(folder: Path, what: str) -> Iterator[Write]:
    def write(name: PurePosixPath, content: Path | bytes) -> None:
        target = folder / name
        with disk_errors(f"Exporting to {folder}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            if again and _holds(target, content):
                return
            if target.exists():
                raise InvalidInput(f"{target} is there already; export to another folder, or remove it.")
            with appearing(target) as partial, partial.open("xb") as file:
                if isinstance(content, Path):
                    with content.open("rb") as stored:
                        shutil.copyfileobj(stored, file, COPIED)
                else:
                    file.write(content)

    with unfinished(folder, what) as again:
        yield write


def _holds(target: Path, content: Path | bytes) -> bool:
    """Return whether a file has these bytes."""
    if isinstance(content, Path):
        return target.is_file() and filecmp.cmp(content, target, shallow=False)
    return target.is_file() and target.read_bytes() == content


@contextmanager
def _zip_file(target: Path) -> Iterator[Write]:
    if target.exists():
        raise InvalidInput(f"{target} is there already; choose another name, or remove it.")
    with disk_errors(f"Exporting to {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with appearing(target) as partial:
            # A clock that was wrong when a file came is not a reason to refuse it: zip begins in 1980.
            with zipfile.ZipFile(partial, "x", zipfile.ZIP_STORED, strict_timestamps=False) as archive:

                def write(name: PurePosixPath, content: Path | bytes) -> None:
                    if isinstance(content, Path):
                        archive.write(content, str(name))
                    else:
                        archive.writestr(zipfile.ZipInfo(str(name)), content)  # of no time: 1 January 1980

                yield write
            if not archive.namelist():
                partial.unlink()


class Namer:
    """Chooses names that differ wherever the UIDs differ, on systems too that do not distinguish A from a."""

    def __init__(self) -> None:
        self._folders: dict[tuple[str, ...], PurePosixPath] = {}
        self._taken: set[str] = set()
        self._numbers: dict[PurePosixPath, int] = {}

    def name(
        self,
        place: Resource,
        patient_name: str,
        patient_id: str,
        date: str,
        description: str,
        number: int | None,
        modality: str,
        series_description: str,
    ) -> PurePosixPath:
        """Return the next name in the folder of an instance's series."""
        patient = _joined(patient_name.split("=")[0].replace("^", " "), patient_id) or "Unknown patient"
        top = self._folder(("patient", patient_name, patient_id), PurePosixPath(), patient)
        study_name = _joined(date, description) or "Study"
        middle = self._folder(("study", place.study), top, study_name)
        text = "" if number is None else str(number)
        series_name = _joined(text, modality, series_description) or "Series"
        bottom = self._folder(("series", place.study, place.series or ""), middle, series_name)
        self._numbers[bottom] = self._numbers.get(bottom, 0) + 1
        return bottom / f"{self._numbers[bottom]:04d}.dcm"

    def _folder(self, key: tuple[str, ...], above: PurePosixPath, name: str) -> PurePosixPath:
        if key not in self._folders:
            clean, count = clean_name(name), 1
            path = above / clean
            while str(path).casefold() in self._taken:
                count += 1
                path = above / f"{clean} ({count})"
            self._taken.add(str(path).casefold())
            self._folders[key] = path
        return self._folders[key]


def _joined(*parts: str) -> str:
    return " ".join(text for part in parts if (text := " ".join(part.split())))


def clean_name(text: str) -> str:
    """Make a file name that every system takes: no separators, not reserved, not too long or empty."""
    text = unicodedata.normalize("NFC", _FORBIDDEN.sub("_", text))
    text = "".join(
        letter for letter in text if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    text = " ".join(text.split()).encode("utf-8")[:NAME_BYTES].decode("utf-8", "ignore").strip(". ")
    if not text or _RESERVED.match(text):
        text = f"_{text}"
    return text
