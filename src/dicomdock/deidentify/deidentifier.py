"""Turn instances into their de-identified copies, or hold them back.

References
----------
PS3.15 §E.1.1 (De-identifier).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO, TypeAlias

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomdock.deidentify.frames import clean_comments, clean_end
from dicomdock.deidentify.holding import reason_for_good, reason_to_hold
from dicomdock.deidentify.identity import Identity
from dicomdock.deidentify.pixels import Decode, Rectangle, blank, reason_not_to_blank
from dicomdock.deidentify.profile import (
    BASIC_CODE,
    CLEAN_PIXELS_CODE,
    OPTIONS,
    RETAIN_FULL_DATES,
    RETAIN_MODIFIED_DATES,
    RETAIN_UIDS,
    Code,
    Profile,
)
from dicomdock.deidentify.pseudonyms import Pseudonyms
from dicomdock.deidentify.report import Change
from dicomdock.deidentify.rules import Rules
from dicomdock.deidentify.tables import tables
from dicomdock.deidentify.walk import Walk
from dicomdock.dicom.dataset import read_dataset
from dicomdock.dicom.read_errors import READ_ERRORS, quiet
from dicomdock.dicom.resource import Resource
from dicomdock.errors import MissingDependency, WireError
from dicomdock.version import __version__

UNREADABLE = "it cannot be read as a data set"


@dataclass(frozen=True)
class Deidentified:
    """The de-identified copy of an instance.

    Parameters
    ----------
    data : the bytes of its file.
    dataset : what they hold.
    changes : what became of each attribute.
    blanked : whether rectangles of its pixels were blanked.
    """

    data: bytes = field(repr=False)
    dataset: Dataset = field(repr=False)
    changes: tuple[Change, ...] = field(repr=False)
    blanked: bool = False


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An instance that does not leave.

    Parameters
    ----------
    reason : why, as a clause; it holds nothing of what the instance says.
    """

    reason: str


Outcome: TypeAlias = Deidentified | HeldBack


@dataclass(frozen=True)
class Deidentifier:
    """De-identifies instances, every one by the same profile and key.

    Parameters
    ----------
    profile : which attributes stay.
    pseudonyms : what stands for names, UIDs and dates.
    rectangles : blanked in the images that would be held back for text in their pixels; none holds them back.
    decode : decodes the pixel data of a Dataset in place, for images to be blanked.
    """

    profile: Profile
    pseudonyms: Pseudonyms
    rectangles: Sequence[Rectangle] = ()
    decode: Decode | None = None

    def resource(self, resource: Resource) -> Resource:
        """Return the UIDs that an instance leaves under."""
        if RETAIN_UIDS in self.profile.options:
            return resource
        uids = (resource.study, resource.series, resource.instance)
        return Resource(*(uid and self.pseudonyms.uid(uid) for uid in uids))  # type: ignore[arg-type]

    def file(self, file: BinaryIO) -> Outcome:
        """De-identify an instance in a DICOM file."""
        try:
            dataset = read_dataset(file)
        except WireError:
            return HeldBack(UNREADABLE)
        return self.dataset(dataset)

    def held_back(self, file: BinaryIO) -> str:
        """Return why the instance in a file would be held back, empty if it is not; pixels are not read.

        Pixel data that cannot be decoded or are too short are found when the copy is made.
        """
        try:
            dataset = read_dataset(file, pixels=False)
            with quiet():
                reason = reason_to_hold(dataset)
                if reason and self.rectangles:
                    return reason_for_good(dataset) or reason_not_to_blank(dataset, self.rectangles)
                return reason
        except (WireError, *READ_ERRORS):
            return UNREADABLE

    def dataset(self, dataset: Dataset) -> Outcome:
        """De-identify a data set, which stays as it is."""
        try:
            with quiet():
                return self._outcome(dataset)
        except MissingDependency:
            raise
        except (WireError, *READ_ERRORS):
            return HeldBack(UNREADABLE)

    def _outcome(self, dataset: Dataset) -> Outcome:
        blanked = False
        _name_syntax(dataset)
        if reason := reason_to_hold(dataset):
            if reason_for_good(dataset) or not self.rectangles or self.decode is None:
                return HeldBack(reason)
            dataset = _copy(dataset)
            if failure := blank(dataset, self.rectangles, self.decode):
                return HeldBack(failure)
            blanked = True
        identity = Identity.of(dataset, self.pseudonyms)
        rules = Rules(self.profile, tables(), str(dataset.get("SOPClassUID", "")))
        walk = Walk(rules, self.pseudonyms, identity, self.pseudonyms.shift(identity.key))
        made = walk.dataset(dataset)
        self._state(made, dataset, blanked=blanked)
        _begin(made, dataset)
        if clean_comments(made) or clean_end(made):
            walk.changes.append(Change("PixelData", "cleaned"))
        return Deidentified(_encode(made), made, tuple(walk.changes), blanked)

    def _state(self, made: Dataset, source: Dataset, *, blanked: bool) -> None:
        """State what was done, and by code what had been done before, where the standard has it stated."""
        options = self.profile.options
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = [
            f"dicomdock {__version__}",
            f"PS3.15 {tables().edition} table E.1-1",
        ]
        codes = []
        done = (*self.profile.codes(pixels_cleaned=blanked), *_done_before(source))
        for value, meaning in dict.fromkeys(done):
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
            codes.append(code)
        made.DeidentificationMethodCodeSequence = codes
        before = str(source.get("LongitudinalTemporalInformationModified", ""))
        if RETAIN_FULL_DATES in options:
            dates = before if before in ("MODIFIED", "REMOVED") else "UNMODIFIED"
        else:
            dates = "MODIFIED" if RETAIN_MODIFIED_DATES in options else "REMOVED"
        made.LongitudinalTemporalInformationModified = dates


def _done_before(source: Dataset) -> list[Code]:
    """Return the codes of profile and options that an instance states already."""
    known = {code[0]: code for code in (BASIC_CODE, CLEAN_PIXELS_CODE, *OPTIONS.values())}
    stated = source.get("DeidentificationMethodCodeSequence") or ()
    values = (str(item.get("CodeValue", "")) for item in stated)
    return [known[value] for value in values if value in known]


def _name_syntax(dataset: Dataset) -> None:
    """Name the transfer syntax that a data set was read in, where its file does not."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _copy(dataset: Dataset) -> Dataset:
    """Return a data set with the same elements whose pixels may be replaced."""
    copied = Dataset()
    for tag in dataset.keys():  # noqa: SIM118
        copied[tag] = dataset.get_item(tag)
    copied.file_meta = FileMetaDataset()
    copied.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    _encode_as(copied, dataset)
    return copied


def _encode_as(made: Dataset, source: Dataset) -> None:
    """Let elements of a source be written as the bytes they were read with."""
    implicit, little = source.original_encoding
    made.set_original_encoding(implicit, little, source.original_character_set)


def _begin(made: Dataset, source: Dataset) -> None:
    """Write a new file's head, with nothing of the source's but the transfer syntax."""
    _encode_as(made, source)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(str(source.file_meta.TransferSyntaxUID))
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.preamble = bytes(128)


def _encode(made: Dataset) -> bytes:
    """Return the bytes of a data set as a file."""
    target = BytesIO()
    dcmwrite(target, made, enforce_file_format=True)
    return target.getvalue()
