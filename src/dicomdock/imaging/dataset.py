"""A DICOM instance, however it is handed in, as a Dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import SEEK_CUR, BytesIO
from typing import BinaryIO, TypeAlias

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomdock.dicom.dataset import read_file
from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.errors import DicomdockError, GeometryError, WireError

Instance: TypeAlias = Dataset | bytes | BinaryIO
"""A Dataset, a DICOM file's bytes, or an open binary file with one."""

_BARE_STARTS = (b"\x02\0", b"\x08\0", b"\0\x08")
"""Group 2 or 8, in either byte order: what a data set begins with where preamble and prefix are missing."""


@contextmanager
def reading(what: str, raised: Callable[[str], DicomdockError] = GeometryError) -> Iterator[None]:
    """Turn what libraries raise over damaged bytes into one error; a decorator of everything that reads.

    Parameters
    ----------
    what : what is read, in words with an article.
    raised : the error to raise; UnreadableFile for formats other than DICOM.
    """
    try:
        yield
    except READ_ERRORS as error:
        raise raised(f"{what} cannot be read: {error}") from error


def transfer_syntax_of(dataset: object) -> str:
    """Return the UID of a dataset's transfer syntax; empty where it states none."""
    return str(getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", ""))


def as_dataset(instance: Instance, *, pixels: bool = True) -> Dataset:
    """Return the Dataset of an instance, also of one without preamble and file meta information.

    Parameters
    ----------
    instance : a Dataset is given back as it is.
    pixels : False leaves pixel data unread.

    Raises
    ------
    GeometryError
        The bytes are not a DICOM instance.
    """
    if isinstance(instance, Dataset):
        return instance
    file = BytesIO(instance) if isinstance(instance, bytes) else instance
    try:
        start = file.read(2)
        file.seek(-len(start), SEEK_CUR)
        found = read_file(file, stop_before_pixels=not pixels, force=start in _BARE_STARTS)
        return _with_syntax(found)
    except (WireError, *READ_ERRORS) as error:
        raise GeometryError(f"The bytes cannot be read as a DICOM instance: {error}") from error


def _with_syntax(dataset: Dataset) -> Dataset:
    """Name the transfer syntax that a bare data set was read in: decoders ask for it."""
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset
