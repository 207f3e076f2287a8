"""The checks of a probe that store: a small synthetic object is stored, retrieved and deleted again.

Run only when the user allows it, because not every server deletes.

References
----------
PS3.18 §10.5 (Store).
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Final

from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import new_uid
from dicomdock.dicomweb import delete, retrieve, store
from dicomdock.errors import DicomdockError, NotFound, TransactionError, UnsupportedByServer
from dicomdock.sources import Part

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicomdock.dicomweb.probe.report import Findings
    from dicomdock.dicomweb.session import Session
    from dicomdock.sources import StoreResult

PATIENT: Final = "DICOMDOCK-TEST"


def run(session: Session, findings: Findings) -> None:
    """Store a synthetic object, retrieve it, store it again and changed, and delete it."""
    made = _made()
    resource = Resource(str(made.StudyInstanceUID), str(made.SeriesInstanceUID), str(made.SOPInstanceUID))
    data = _encoded(made)
    try:
        result = _store(session, data, resource)
    except (UnsupportedByServer, NotFound) as error:
        session.learn(store=False)
        findings.add("store", False, f"Uploads are not taken: {error}")
        return
    except DicomdockError as error:
        findings.add("store", False, f"The upload of a test object failed: {error}")
        return
    stored = result.status in ("stored", "warning")
    try:
        if stored:
            session.learn(store=True)
            findings.add("store", True, "Uploads are taken.")
            _check_listed(session, findings, resource)
            _check_round_trip(session, findings, data, resource)
            _check_duplicate(session, findings, data, resource)
            made.SeriesDescription = "Changed"
            _check_overwrite(session, findings, _encoded(made), resource)
        else:
            findings.add("store", False, f"The test object was not taken: {result.status}, {result.reason}.")
    finally:
        if stored or result.status == "unconfirmed":
            _delete(session, findings, resource)


def skip(session: Session, findings: Findings) -> None:
    """Report that nothing was stored or deleted."""
    findings.add("store", None, "Uploading was not tried, because a test only reads.")
    levels = session.dialect.delete_levels
    findings.add(
        "delete",
        None if levels else False,
        "Deleting was not tried." if levels else "This kind of server does not delete by DICOMweb.",
    )


def _made() -> Dataset:
    """Return a small synthetic image with new UIDs."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    made = Dataset()
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = (new_uid() for _ in range(3))
    made.PatientID, made.PatientName = PATIENT, "Dicomdock^Test"
    made.PatientBirthDate, made.PatientSex = "19000101", "O"
    made.StudyDate, made.StudyTime, made.StudyID = "19000101", "000000", "1"
    made.AccessionNumber, made.ReferringPhysicianName = "", ""
    made.StudyDescription = "dicomdock tests this server; can be deleted"
    made.Modality, made.ConversionType = "OT", "SYN"
    made.SeriesNumber, made.InstanceNumber, made.SeriesDescription = 1, 1, "Test"
    made.Rows = made.Columns = 8
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = bytes(range(64))
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def _encoded(made: Dataset) -> bytes:
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _store(session: Session, data: bytes, resource: Resource) -> StoreResult:
    part = Part("application/dicom", lambda: iter([data]), length=len(data), resource=resource)
    (result,) = store.store(session, [part])
    return result


def _check_listed(session: Session, findings: Findings, resource: Resource) -> None:
    try:
        found = retrieve.exists(session, resource)
    except DicomdockError:
        found = False
    outcome = "found at once" if found else "not found at once; it may take a moment to be listed"
    findings.add("indexed", found, f"What was uploaded is {outcome}.")


def _check_round_trip(session: Session, findings: Findings, data: bytes, resource: Resource) -> None:
    back = _retrieved(session, resource)
    if back is None:
        findings.add("round-trip", False, "What was uploaded could not be retrieved.")
    elif back == data:
        findings.add("round-trip", True, "What was uploaded comes back byte for byte.")
    elif _data_set(back) == _data_set(data):
        findings.add(
            "round-trip", True, "What was uploaded comes back with its data set, in a file of its own."
        )
    else:
        findings.add("round-trip", False, "What was uploaded comes back changed.")


def _retrieved(session: Session, resource: Resource) -> bytes | None:
    try:
        return b"".join(chunk for part in retrieve.retrieve(session, resource) for chunk in part.chunks())
    except DicomdockError:
        return None


def _data_set(data: bytes) -> bytes:
    """Return what follows the file meta information (PS3.10 §7.1), whose length is its first element."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


def _check_duplicate(session: Session, findings: Findings, data: bytes, resource: Resource) -> None:
    try:
        result = _store(session, data, resource)
    except DicomdockError as error:
        findings.add("duplicates", False, f"The same object a second time made the upload fail: {error}")
        return
    reported = result.status == "duplicate"
    outcome = {
        "duplicate": "is reported to be stored already",
        "failed": "is refused without the reason that it is stored already",
    }.get(result.status, "is answered like a new one")
    findings.add("duplicates", reported, f"The same object a second time {outcome}.")


def _check_overwrite(session: Session, findings: Findings, changed: bytes, resource: Resource) -> None:
    with contextlib.suppress(DicomdockError):  # what counts is what is there now
        _store(session, changed, resource)
    back = _retrieved(session, resource)
    if back is None:
        return
    replaced = _data_set(back) == _data_set(changed)
    outcome = "replaces the first copy" if replaced else "is passed over: the first copy stays"
    findings.add("overwrites", replaced, f"Another object under the same UID {outcome}.")


def _delete(session: Session, findings: Findings, resource: Resource) -> None:
    """Delete the study and verify that; report its UID where it remains."""
    study = Resource(resource.study)
    stays = f"the test study of patient {PATIENT} stays there: {resource.study}"
    try:
        delete.delete(session, study)
    except UnsupportedByServer:
        findings.add("delete", False, f"Studies cannot be deleted; {stays}.")
        return
    except DicomdockError as error:
        findings.add("delete", False, f"Deleting failed ({error}); {stays}.")
        return
    try:
        gone = not retrieve.exists(session, study)
    except TransactionError:
        gone = True
    outcome = (
        "Studies can be deleted, as the test study was."
        if gone
        else f"Deleting takes a while; {stays} until then."
    )
    findings.add("delete", gone or None, outcome)
