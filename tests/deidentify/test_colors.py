"""ICC profiles leave without their texts and mean the same colours; no small copy of an image leaves."""

from __future__ import annotations

import io
from importlib import resources

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from dicomdock.deidentify import icc
from tests.builders import ct_series, encode
from tests.deidentify.conftest import deidentified

NAME = "Quagmire"
PICTURE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (20, 20, 3), np.uint8))


def built(kind: str, version: bool) -> bytes:
    """Return a profile of LittleCMS with a name in it: as Unicode strings, or in the older form as ASCII."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes()
    encoding = "utf-16-be" if version else "ascii"
    assert "built-in".encode(encoding) in profile
    return profile.replace("built-in".encode(encoding), NAME.encode(encoding))


PROFILES = {
    "newer": built("sRGB", True),
    "older": built("LAB", False),
    "tables": resources.files("highdicom")
    .joinpath("_icc_profiles", "sRGB_v4_ICC_preference.icc")
    .read_bytes()
    .replace("preference".encode("utf-16-be"), f"{NAME}__".encode("utf-16-be")),
}


def opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_profile_loses_its_texts_and_keeps_its_colors(profile: bytes) -> None:
    """LittleCMS reads it, and converts the same picture to the same numbers."""
    dataset = ct_series(1)[0].dataset
    dataset.ICCProfile = profile + bytes(len(profile) % 2)
    assert NAME in ImageCms.getProfileDescription(opened(profile))
    made = deidentified(encode(dataset)).dataset.ICCProfile
    assert len(made) == len(dataset.ICCProfile)
    for text in (ImageCms.getProfileDescription(opened(made)), ImageCms.getProfileCopyright(opened(made))):
        assert text.strip() == ""
    assert made[24:36] != profile[24:36]  # date and time (ICC.1 §7.2.1); Pillow 12 does not read January
    if opened(profile).profile.device_class == "abst":
        return
    lab = ImageCms.createProfile("LAB")
    numbers = [
        np.asarray(ImageCms.applyTransform(PICTURE, ImageCms.buildTransform(opened(one), lab, "RGB", "LAB")))
        for one in (profile, made)
    ]
    assert np.array_equal(*numbers)


def test_what_is_not_a_profile_goes() -> None:
    dataset = ct_series(1)[0].dataset
    for value in (NAME.encode() * 40, PROFILES["newer"][:200], b""):
        dataset.ICCProfile = value
        assert not deidentified(encode(dataset)).dataset.get("ICCProfile")


@given(st.binary(max_size=120), st.integers(0, 3))
def test_any_profile_is_read_to_an_end(body: bytes, count: int) -> None:
    profile = PROFILES["newer"][:128] + count.to_bytes(4, "big") + body
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    made = icc.cleaned(profile)
    assert made is None or len(made) == len(profile)


@pytest.mark.parametrize("keyword", ["IconImageSequence", "ReferencedImageSequence"])
def test_no_small_copy_of_an_image_leaves(keyword: str) -> None:
    icon = Dataset()
    icon.Rows, icon.Columns, icon.BitsAllocated, icon.SamplesPerPixel = 4, 8, 8, 1
    icon.PixelRepresentation, icon.PixelData = 0, b"Q7FE00010Z" * 3 + b"\0\0"
    dataset = ct_series(1)[0].dataset
    setattr(dataset, keyword, [icon])
    made = deidentified(encode(dataset))
    assert b"Q7FE00010Z" not in made.data
    assert made.dataset.PixelData == dataset.PixelData
