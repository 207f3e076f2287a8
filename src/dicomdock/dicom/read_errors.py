"""What pydicom raises over bytes that are not what they claim, and how its warnings are suppressed."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydicom import errors

READ_ERRORS: Final = (
    errors.InvalidDicomError,
    errors.BytesLengthException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    OSError,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What pydicom and its decoders raise over bytes that are not what they claim, often only on use."""

_QUIET = threading.RLock()  # the filter of warnings belongs to the whole process


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress pydicom's warnings about what is only passed on; one thread at a time."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
