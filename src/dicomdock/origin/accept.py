"""Content negotiation: what a client will accept, in its order, and what of that we can give.

Pure: header text in, choices out.

References
----------
PS3.18 §8.3.3.1 (accept query parameter), §8.7 (media types), Table 8.7.3-5 (transfer syntaxes of frames).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from dicomdock.dicom.media_types import DICOM, DICOM_JSON, DICOM_XML, OCTETS, in_transfer_syntax
from dicomdock.web.media_type import MediaType

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = frozenset({EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED, BIG_ENDIAN})
PictureType = Literal["image/jpeg", "image/png"]
MAX_CHOICES = 64  # entries of an Accept header that we look at
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_JPEG = "1.2.840.10008.1.2.4."
_FRAME_TYPES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((_JPEG + "50", _JPEG + "51", _JPEG + "53", _JPEG + "55"), "image/jpeg"),
        **dict.fromkeys((_JPEG + "57", _JPEG + "70"), "image/jpeg"),
        **dict.fromkeys((_JPEG + "80", _JPEG + "81"), "image/jls"),
        **dict.fromkeys((_JPEG + "90", _JPEG + "91"), "image/jp2"),
        **dict.fromkeys((_JPEG + "92", _JPEG + "93"), "image/jpx"),
        **dict.fromkeys((_JPEG + "100", _JPEG + "101"), "video/mpeg2"),
        **dict.fromkeys(
            (_JPEG + "102", _JPEG + "103", _JPEG + "104", _JPEG + "105", _JPEG + "106"), "video/mp4"
        ),
        **dict.fromkeys((_JPEG + "107", _JPEG + "108"), "video/H265"),
        **dict.fromkeys((_JPEG + "110", _JPEG + "111", _JPEG + "112"), "image/jxl"),
        **dict.fromkeys((_JPEG + "201", _JPEG + "202", _JPEG + "203"), "image/jphc"),
        "1.2.840.10008.1.2.5": "image/dicom-rle",
    }
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that a client accepts.

    Parameters
    ----------
    essence : of a part, or of the whole where it is not multipart; ``*/*`` for anything.
    multipart : the client wants ``multipart/related`` about it; False where it wants the bare thing.
    transfer_syntax : the one that it names, ``*`` for any; empty where it names none.
    """

    essence: str
    multipart: bool
    transfer_syntax: str = ""

    @property
    def anything(self) -> bool:
        """True for ``*/*``."""
        return self.essence == "*/*"

    def covers(self, media_type: str) -> bool:
        """Return whether a media type is what this choice names."""
        if self.anything or self.essence == media_type.lower():
            return True
        wide = self.essence.endswith("/*") and media_type.lower().startswith(self.essence[:-1])
        return wide or self.essence.replace("/x-", "/") == media_type.lower()

    def takes(self, transfer_syntax: str) -> bool:
        """Return whether the transfer syntax is named, or any is."""
        return self.transfer_syntax in ("*", transfer_syntax)


@lru_cache(64)
def choices(accept: str) -> Sequence[Choice]:
    """Read an Accept header, or the ``accept`` parameter that stands for it, best first.

    What is refused (``q=0``) is left out; an empty header accepts anything.
    """
    return tuple(choice for _, choice in _ranked(accept))


def _ranked(accept: str) -> Sequence[tuple[float, Choice]]:
    """Return the choices with their qualities, best first."""
    found: list[tuple[float, Choice]] = []
    for text in _elements(accept):
        media = MediaType.parse(text)
        if "/" not in media.essence and media.essence != "*":
            continue  # no media type, so that nothing is accepted by it; Java writes "*"
        quality = _quality(media.parameters.get("q", "1"))
        if quality > 0:
            found.append((quality, _choice(media)))
    if not found and not accept.strip():
        return ((1.0, Choice("*/*", multipart=False)),)
    return sorted(found, key=lambda entry: -entry[0])


def _elements(accept: str) -> Iterator[str]:
    for count, element in enumerate(_ELEMENT.finditer(accept)):
        if count == MAX_CHOICES:
            return
        if element[0].strip():
            yield element[0].strip()


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 1.0


def _choice(media: MediaType) -> Choice:
    syntax = media.parameters.get("transfer-syntax", "")
    if media.essence in ("multipart/related", "multipart/*"):
        return Choice(media.root_type or "*/*", multipart=True, transfer_syntax=syntax)
    return Choice(media.essence if "/" in media.essence else "*/*", multipart=False, transfer_syntax=syntax)


def frame_type(transfer_syntax: str) -> str:
    """Name the media type of a frame as stored in this transfer syntax."""
    return _FRAME_TYPES.get(transfer_syntax, OCTETS)


@dataclass(frozen=True, slots=True)
class InstanceForm:
    """How instances are given.

    Parameters
    ----------
    multipart : parts of a multipart body; else the bare instance.
    transfer_syntaxes : those that are given as stored; ``*`` among them for any.
    decode : whatever is stored otherwise becomes Explicit VR Little Endian; else it is not acceptable.
    """

    multipart: bool
    transfer_syntaxes: frozenset[str]
    decode: bool

    def as_stored(self, transfer_syntax: str) -> bool:
        """Return whether an instance of this transfer syntax goes out as it is."""
        return "*" in self.transfer_syntaxes or transfer_syntax in self.transfer_syntaxes


@lru_cache(64)
def instance_form(accept: str, *, single: bool) -> InstanceForm | None:
    """Choose how to give instances; None where the client accepts nothing that we have.

    The first acceptable kind of body decides between multipart and bare; the transfer syntaxes of all choices
    of that kind are put together, because what suits one instance of a series need not suit the next.

    Parameters
    ----------
    single : one instance was asked for, so that a bare one is possible.
    """
    wanted = [choice for choice in choices(accept) if choice.covers(DICOM)]
    kinds = [
        choice.multipart or choice.anything
        for choice in wanted
        if choice.multipart or choice.anything or single
    ]
    if not kinds:
        return None
    same = [choice for choice in wanted if (choice.multipart or choice.anything) == kinds[0]]
    syntaxes = {choice.transfer_syntax or EXPLICIT_LITTLE for choice in same}
    return InstanceForm(kinds[0], frozenset(syntaxes), decode=EXPLICIT_LITTLE in syntaxes)


@dataclass(frozen=True, slots=True)
class FrameForm:
    """How frames are given.

    Parameters
    ----------
    multipart : parts of a multipart body; else the bare frame.
    media_type : of each frame, with its transfer syntax.
    decode : samples decoded to little endian; else as stored.
    """

    multipart: bool
    media_type: str
    decode: bool


def frame_form(accept: str, transfer_syntax: str, *, single: bool) -> FrameForm | None:
    """Choose how to give the frames of an instance; None where the client accepts nothing that we have.

    Parameters
    ----------
    transfer_syntax : that the instance is stored in.
    single : one frame was asked for, so that a bare one is possible.
    """
    stored_type = frame_type(transfer_syntax)
    as_stored = in_transfer_syntax(stored_type, transfer_syntax)
    plain = in_transfer_syntax(OCTETS, EXPLICIT_LITTLE)
    native = transfer_syntax in NATIVE
    for choice in choices(accept):
        multipart = choice.multipart or choice.anything
        if not multipart and not single:
            continue
        wanted = choice.transfer_syntax
        if choice.covers(OCTETS) and (wanted in ("", EXPLICIT_LITTLE) or (native and wanted == "*")):
            return FrameForm(multipart, plain, decode=not native or transfer_syntax == BIG_ENDIAN)
        if (
            not native
            and (choice.covers(stored_type) or choice.covers(OCTETS))
            and wanted in ("", "*", transfer_syntax)
        ):
            return FrameForm(multipart, as_stored, decode=False)
    return None


def picture_type(accept: str) -> tuple[PictureType, bool] | None:
    """Choose the media type of a rendered picture, and whether it is wanted as parts of a multipart body."""
    for choice in choices(accept):
        if choice.covers("image/jpeg") or choice.essence == "image/jpg":
            return "image/jpeg", choice.multipart
        if choice.covers("image/png"):
            return "image/png", choice.multipart
    return None


@dataclass(frozen=True, slots=True)
class DataSetForm:
    """How data sets are given: matches of a search, metadata, a store response.

    Parameters
    ----------
    media_type : ``application/dicom+json``, ``application/json`` or ``application/dicom+xml``.
    multipart : each as a part of a multipart body, which only XML can be.
    """

    media_type: str
    multipart: bool = False

    @property
    def xml(self) -> bool:
        """True for the Native DICOM Model."""
        return self.media_type == DICOM_XML


@lru_cache(64)
def data_set_form(accept: str) -> DataSetForm | None:
    """Choose how to give data sets; None where the client accepts nothing that we have.

    Of what a client accepts alike, JSON, the standard's default, comes first (PS3.18 §8.7.3).
    """
    found: list[tuple[float, DataSetForm]] = []
    for quality, choice in _ranked(accept):
        if choice.essence == DICOM_XML or (choice.multipart and choice.anything):
            found.append((quality, DataSetForm(DICOM_XML, choice.multipart)))
        elif choice.anything or choice.essence in (DICOM_JSON, "application/*"):
            found.append((quality, DataSetForm(DICOM_JSON)))
        elif choice.essence == "application/json":
            found.append((quality, DataSetForm("application/json")))
    best = max((quality for quality, _ in found), default=0.0)
    return min((form for quality, form in found if quality == best), key=lambda form: form.xml, default=None)
