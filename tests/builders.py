"""Small data sets made in code, for tests that need no real ones.

Every builder gives ``Made`` instances: the UIDs that a test compares with, and the file's bytes.
"""

from __future__ import annotations

import copy
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from dicomdock.dicom.resource import Resource


@dataclass(frozen=True)
class Made:
    """An instance made in code: its data set and the bytes of its file."""

    dataset: Dataset = field(repr=False)
    data: bytes = field(repr=False)

    @property
    def study(self) -> str:
        """Study Instance UID."""
        return str(self.dataset.StudyInstanceUID)

    @property
    def series(self) -> str:
        """Series Instance UID."""
        return str(self.dataset.SeriesInstanceUID)

    @property
    def instance(self) -> str:
        """SOP Instance UID."""
        return str(self.dataset.SOPInstanceUID)

    @property
    def resource(self) -> Resource:
        """Where it stands."""
        return Resource(self.study, self.series, self.instance)


def encode(dataset: Dataset) -> bytes:
    """Return the bytes of the data set as a DICOM file, in its file meta information's transfer syntax."""
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def made(dataset: Dataset) -> Made:
    """Encode a data set."""
    return Made(dataset, encode(dataset))


def changed(instance: Made, **attributes: Any) -> Made:
    """Return a copy of an instance with other attributes; the UIDs stay unless they are named."""
    dataset = copy.deepcopy(instance.dataset)  # Dataset(other) would share its elements
    dataset.file_meta = FileMetaDataset(instance.dataset.file_meta)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return made(dataset)


def composite(sop_class: str, *, transfer_syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> Dataset:
    """Make what every instance has: patient, study, series and its UIDs; new ones where none are given."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "P1"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "F"
    dataset.StudyDate = "20240102"
    dataset.StudyTime = "101500"
    dataset.StudyID = "1"
    dataset.StudyDescription = "Head"
    dataset.AccessionNumber = "A1"
    dataset.ReferringPhysicianName = "Ruiz^Ana"
    dataset.Modality = "OT"
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "Axial"
    dataset.InstanceNumber = 1
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def image_series(
    count: int,
    *,
    sop_class: str = CTImageStorage,
    modality: str = "CT",
    rows: int = 16,
    columns: int = 24,
    spacing: tuple[float, float] = (0.5, 0.75),
    thickness: float = 2.0,
    **attributes: Any,
) -> list[Made]:
    """Make a series of parallel axial slices whose pixels tell slice, row and column apart.

    Parameters
    ----------
    count : number of slices, ``thickness`` mm apart along +z.
    spacing : mm between rows, between columns.
    attributes : set on every slice (``PatientName=...``, ``StudyInstanceUID=...``).
    """
    shared = {
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
    }
    shared.update(attributes)
    row, column = np.indices((rows, columns))
    instances = []
    for index in range(count):
        dataset = composite(sop_class, Modality=modality, **shared)
        dataset.InstanceNumber = index + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImagePositionPatient = [-10.0, -20.0, thickness * index]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = list(spacing)
        dataset.SliceThickness = thickness
        dataset.Rows, dataset.Columns = rows, columns
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 1
        dataset.WindowCenter, dataset.WindowWidth = 500, 1000
        if modality == "CT":
            dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
        dataset.PixelData = (100 * index + 10 * row + column).astype("<i2").tobytes()
        instances.append(made(dataset))
    return instances


def ct_series(count: int = 3, **options: Any) -> list[Made]:
    """Make an axial CT series; ``image_series`` tells the options."""
    return image_series(count, **options)


def mr_series(count: int = 3, **options: Any) -> list[Made]:
    """Make an axial MR series; ``image_series`` tells the options."""
    return image_series(count, sop_class=MRImageStorage, modality="MR", **options)


def multiframe(frames: int = 3, *, rows: int = 8, columns: int = 8, **attributes: Any) -> Made:
    """Make a multi-frame MR image, uncompressed, whose frame k is filled with the value k (from 1)."""
    dataset = composite(EnhancedMRImageStorage, Modality="MR", **attributes)
    dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    pixels = np.repeat(np.arange(1, frames + 1, dtype="<u2"), rows * columns)
    dataset.PixelData = pixels.tobytes()
    return made(dataset)


def document(**attributes: Any) -> Made:
    """Make an object without pixels: an encapsulated PDF."""
    dataset = composite(EncapsulatedPDFStorage, Modality="DOC", **attributes)
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.4\n%%EOF\n"
    return made(dataset)


def charset_written_as(vr: str) -> tuple[bytes, bytes]:
    """Make an image of Müller^Ana as it should be, and with Specific Character Set under another VR."""
    data = changed(ct_series(1)[0], SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Ana").data
    tag, value = b"\x08\x00\x05\x00", b"ISO_IR 100"
    whole = tag + b"CS" + struct.pack("<H", len(value)) + value
    assert data.count(whole) == 1
    long = vr in ("OB", "OW", "UN")
    length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
    return data, data.replace(whole, tag + vr.encode() + length + value)


def deflated_bomb(instance: Made, size: int) -> bytes:
    """Return a small file of an instance, deflated, whose pixel data inflate to so many bytes of zeros."""
    dataset = copy.deepcopy(instance.dataset)
    del dataset.PixelData
    plain = encode(dataset)
    meta = plain.index(b"\x08\0\x05\0CS")  # where the data set begins, with its character set
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header = io.BytesIO()
    header.write(bytes(128) + b"DICM")
    write_file_meta_info(header, dataset.file_meta)
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, size)
    return header.getvalue() + deflated_with_zeros(plain[meta:] + pixels, size >> 20)


def deflated_with_zeros(data: bytes, megabytes: int) -> bytes:
    """Deflate data and so many megabytes of zeros behind it, of which one is deflated and repeated."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # After a full flush nothing refers to what came before.
    begin = deflater.compress(data) + deflater.flush(zlib.Z_FULL_FLUSH)
    zeros = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return begin + zeros * megabytes + deflater.flush()


def write(folder: Path, instances: list[Made]) -> list[Path]:
    """Write the instances as ``0001.dcm`` ... into the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return list(_written(folder, instances))


def _written(folder: Path, instances: list[Made]) -> Iterator[Path]:
    for number, instance in enumerate(instances, 1):
        path = folder / f"{number:04}.dcm"
        path.write_bytes(instance.data)
        yield path
