"""Files named by the user, as parts to be pushed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.sources import Part


def parts_of_files(paths: Sequence[Path]) -> list[Part]:
    """Give the DICOM instances in files and, recursively, folders.

    Inside a folder what is not DICOM is passed over, as is a DICOMDIR; a file named by itself must be DICOM.

    Raises
    ------
    InvalidInput
        A path does not exist, a file cannot be read or, named by itself, is not DICOM, or nothing was found.
    """
    parts = [part for path in paths for part in _parts(path)]
    if paths and not parts:
        raise InvalidInput(f"There is no DICOM file in {', '.join(map(str, paths))}.")
    return parts


def _parts(path: Path) -> Iterator[Part]:
    if path.is_dir():
        for file in sorted(item for item in path.rglob("*") if item.is_file()):
            resource = _identify(file)
            if resource is not None:
                yield Part.from_file(file, resource=resource)
    elif path.is_file():
        resource = _identify(path)
        if resource is None:
            raise InvalidInput(f"{path} is not a DICOM file with study, series and instance UIDs.")
        yield Part.from_file(path, resource=resource)
    else:
        raise InvalidInput(f"There is no file or folder {path}.")


def _identify(file: Path) -> Resource | None:
    from dicomdock.dicom.part10 import identify_file

    try:
        with file.open("rb") as opened:
            return identify_file(opened)
    except OSError as error:  # what may be an instance must not be left out in silence
        raise InvalidInput(f"{file} cannot be read: {error.strerror or error}.") from error
