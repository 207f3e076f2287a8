"""What the tests of de-identification share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO

import pytest
from pydicom import config

from dicomdock.deidentify import Deidentified, Deidentifier, HeldBack, Profile, Pseudonyms
from dicomdock.imaging.codecs import decompress

KEY = bytes(range(32))
Deidentify = Callable[..., Deidentified]


@pytest.fixture
def odd_values() -> Iterator[None]:
    """Let pydicom write what no attribute should hold, as real files do."""
    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    yield
    config.settings.writing_validation_mode, config.settings.reading_validation_mode = before


def deidentifier(profile: str = "basic", *, key: bytes = KEY, **options: object) -> Deidentifier:
    """Make a de-identifier that can decode pixels."""
    return Deidentifier(Profile.parse(profile), Pseudonyms(key), decode=decompress, **options)


def deidentified(data: bytes, profile: str = "basic", **options: object) -> Deidentified:
    """De-identify the bytes of a file, which must not be held back."""
    outcome = deidentifier(profile, **options).file(BytesIO(data))
    assert isinstance(outcome, Deidentified), outcome
    return outcome


def held_back(data: bytes, profile: str = "basic", **options: object) -> str:
    """Return the reason why the bytes of a file are held back, which they must be."""
    outcome = deidentifier(profile, **options).file(BytesIO(data))
    assert isinstance(outcome, HeldBack)
    return outcome.reason
