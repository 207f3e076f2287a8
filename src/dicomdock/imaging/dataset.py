"""A DICOM instance, however it is handed in, as a Dataset."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO, TypeAlias

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from dicomdock.errors import GeometryError

Instance: TypeAlias = Dataset | bytes | BinaryIO
"""A Dataset, a DICOM file's bytes, or an open binary file with one."""

READ_ERRORS = (
    InvalidDicomError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OSError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
    BytesLengthException,
    zlib.error,
)
"""What pydicom and its codecs raise over bytes that are not what they claim, often only when looked at."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what libraries raise over damaged bytes into a GeometryError; a decorator of everything that
    reads.

    Parameters
    ----------
    what : what is read, in words with an article.
    """
    try:
        yield
    except READ_ERRORS as error:
        raise GeometryError(f"{what} cannot be read: {error}") from error


def as_dataset(instance: Instance, *, pixels: bool = True) -> Dataset:
    """Give the Dataset of an instance.

    Parameters
    ----------
    instance : a Dataset is given back as it is.
    pixels : False leaves pixel data unread.

    Raises
    ------
    GeometryError
        The bytes are no DICOM instance.
    """
    if isinstance(instance, Dataset):
        return instance
    file = BytesIO(instance) if isinstance(instance, bytes) else instance
    try:
        return dcmread(file, stop_before_pixels=not pixels, force=False)
    except READ_ERRORS as error:
        raise GeometryError(f"The bytes cannot be read as a DICOM instance: {error}") from error
