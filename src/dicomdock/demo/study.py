"""The phantom as DICOM objects: a CT series and its segmentation, with the attributes of real ones."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from io import BytesIO

import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomdock.demo import phantom
from dicomdock.dicom.media_types import DICOM, in_transfer_syntax
from dicomdock.dicom.resource import Resource
from dicomdock.sources import Part

# Part of every UID. Whoever changes the bytes of the study must count this up: the same UID with other bytes
# would be a conflict in the archives of those who have it already.
VERSION = 1
_NAMESPACE = uuid.UUID("6f7b0cb9-6b0e-4d52-9a3c-2f0f6f0a7a11")
_DATE, _TIME = "20240311", "0914"
_INTERCEPT = -1024
_SEGMENTS = (
    (phantom.SKULL_SEGMENT, "Skull", codes.SCT.AnatomicalStructure, codes.SCT.Skull, (61.0, 2.0, 12.0)),
    (phantom.BRAIN_SEGMENT, "Brain", codes.SCT.AnatomicalStructure, codes.SCT.Brain, (62.0, 22.0, 22.0)),
    (
        phantom.VENTRICLES_SEGMENT,
        "Ventricles",
        Code("91723000", "SCT", "Anatomical Structure"),
        Code("35764002", "SCT", "Brain ventricle"),
        (55.0, -8.0, -38.0),
    ),
    (
        phantom.LESION_SEGMENT,
        "Lesion",
        Code("49755003", "SCT", "Morphologically Abnormal Structure"),
        Code("4147007", "SCT", "Mass"),
        (72.0, 22.0, 66.0),
    ),
)


def demo_uid(name: str) -> str:
    """Return the UID of one of the study's parts, always the same.

    References
    ----------
    PS3.5 §B.2 (UUID derived UIDs).
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, f'{VERSION}/{name}').int}"


def make_parts() -> Iterator[Part]:
    """Make the CT slices, feet first, then the segmentation."""
    template = _ct_template()
    images, labels = [], []
    for number, plane in enumerate(phantom.slices(), start=1):
        image = _ct_image(template, number, plane)
        yield _part(image)
        del image.PixelData  # the segmentation needs the place of each slice only
        images.append(image)
        labels.append(plane.labels)
    yield _part(_segmentation(images, np.stack(labels)))


def _part(dataset: Dataset) -> Part:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    body = buffer.getvalue()
    return Part(
        in_transfer_syntax(DICOM, ExplicitVRLittleEndian),
        lambda: iter((body,)),
        length=len(body),
        resource=Resource(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID),
    )


def _ct_template() -> Dataset:
    """All that the slices have in common."""
    image = Dataset()
    _describe_study(image)
    image.SOPClassUID = CTImageStorage
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Modality = "CT"
    image.SeriesInstanceUID = demo_uid("ct")
    image.SeriesNumber = 2
    image.SeriesDescription = "Head 1.5 mm, soft tissue"
    image.SeriesDate = image.AcquisitionDate = image.ContentDate = _DATE
    image.SeriesTime = f"{_TIME}40"
    image.ProtocolName = "Head routine"
    image.BodyPartExamined = "HEAD"
    image.PatientPosition = "HFS"
    image.Manufacturer = "dicomdock"
    image.ManufacturerModelName = "Head phantom"
    image.DeviceSerialNumber = "1"
    image.SoftwareVersions = str(VERSION)
    image.InstitutionName = "Demonstration"
    image.StationName = "PHANTOM"
    image.FrameOfReferenceUID = demo_uid("frame of reference")
    image.PositionReferenceIndicator = "OM"
    _describe_acquisition(image)
    image.PixelSpacing = [phantom.SPACING, phantom.SPACING]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.SliceThickness = phantom.SLICE_SPACING
    image.SpacingBetweenSlices = phantom.SLICE_SPACING
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = phantom.ROWS, phantom.COLUMNS
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = _INTERCEPT, 1, "HU"
    image.WindowCenter, image.WindowWidth = [40, 75, 500], [80, 280, 2500]
    image.WindowCenterWidthExplanation = ["BRAIN", "SUBDURAL", "BONE"]
    return image


def _describe_study(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Phantom^Petra"
    dataset.PatientID = "DEMO-0001"
    dataset.IssuerOfPatientID = "dicomdock"
    dataset.PatientBirthDate = "19610704"
    dataset.PatientSex = "F"
    dataset.PatientAge = "062Y"
    dataset.PatientComments = "Not a person: made in code for demonstration"
    dataset.StudyInstanceUID = demo_uid("study")
    dataset.StudyID = "1"
    dataset.StudyDate = _DATE
    dataset.StudyTime = f"{_TIME}05"
    dataset.StudyDescription = "CT head without contrast (phantom)"
    dataset.AccessionNumber = "DEMO20240311"
    dataset.ReferringPhysicianName = "Example^Erik"


def _describe_acquisition(image: Dataset) -> None:
    image.ScanOptions = "HELICAL"
    image.KVP = 120
    image.XRayTubeCurrent = 280
    image.ExposureTime = 1000
    image.Exposure = 280
    image.GantryDetectorTilt = 0
    image.TableHeight = 148
    image.RotationDirection = "CW"
    image.ConvolutionKernel = "SOFT"
    image.DataCollectionDiameter = 500
    image.ReconstructionDiameter = phantom.COLUMNS * phantom.SPACING
    image.AcquisitionNumber = 1


def _ct_image(template: Dataset, number: int, plane: phantom.Slice) -> Dataset:
    image = Dataset()
    image.update(template)  # shares its elements: nothing below may set an attribute that the template has
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPInstanceUID = demo_uid(f"ct/{number}")
    image.InstanceNumber = number
    # The table moves 1.5 mm in 0.05 s: a helical scan of 6 s.
    image.AcquisitionTime = image.ContentTime = f"{_TIME}{41 + number * 0.05:09.6f}"
    image.ImagePositionPatient = [phantom.FIRST_PIXEL[0], phantom.FIRST_PIXEL[1], plane.z]
    image.SliceLocation = plane.z
    image.PixelData = (plane.hounsfield - np.int16(_INTERCEPT)).astype("<i2").tobytes()
    return image


def _segmentation(images: Sequence[Dataset], labels: NDArray[np.uint8]) -> Dataset:
    """Make the DICOM SEG that refers to the slices.

    Parameters
    ----------
    images : the slices, in the order of the first axis of ``labels``.
    labels : (slices, rows, columns) segment numbers.
    """
    algorithm = highdicom.AlgorithmIdentificationSequence(
        "dicomdock phantom", codes.DCM.ArtificialIntelligence, str(VERSION)
    )
    descriptions = []
    for number, label, category, kind, colour in _SEGMENTS:
        description = highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=category,
            segmented_property_type=kind,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=demo_uid(f"tracking/{number}"),
            tracking_id=label,
        )
        description.RecommendedDisplayCIELabValue = _encoded_lab(colour)
        descriptions.append(description)
    result: Dataset = highdicom.seg.Segmentation(
        images,
        labels,
        highdicom.seg.SegmentationTypeValues.BINARY,
        descriptions,
        series_instance_uid=demo_uid("seg"),
        series_number=300,
        sop_instance_uid=demo_uid("seg/1"),
        instance_number=1,
        manufacturer="dicomdock",
        manufacturer_model_name="Head phantom",
        software_versions=str(VERSION),
        device_serial_number="1",
        content_label="HEAD",
        content_description="Skull, brain, ventricles and lesion of the phantom",
        content_creator_name="Example^Erik",
        series_description="Segmentation",
    )
    # The clock and chance have no place in a study that is the same each time it is made.
    for keyword in ("SeriesDate", "ContentDate", "InstanceCreationDate"):
        setattr(result, keyword, _DATE)
    for keyword in ("SeriesTime", "ContentTime", "InstanceCreationTime"):
        setattr(result, keyword, f"{_TIME}59")
    for equipment in result.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = f"{_DATE}{_TIME}59"
    organization = demo_uid("seg/dimensions")
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    return result


def _encoded_lab(colour: tuple[float, float, float]) -> list[int]:
    """CIELab as DICOM writes it (PS3.3 §C.10.7.1.1): L 0-100 and a, b -128-127, each over 0-65535."""
    light, a, b = colour
    return [round(light / 100 * 65535), round((a + 128) / 255 * 65535), round((b + 128) / 255 * 65535)]
