"""The trials of a probe that write: one small made object goes there, comes back, and is deleted again.

Done only when the user allows it, because not every server can be made to forget.

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

    from dicomdock.dicomweb.probe.runner import Trials
    from dicomdock.sources import StoreResult

PATIENT: Final = "DICOMDOCK-TEST"


def try_out(trials: Trials) -> None:
    """Send a made object, look at it, send it again and changed, and delete it."""
    made = _made()
    place = Resource(str(made.StudyInstanceUID), str(made.SeriesInstanceUID), str(made.SOPInstanceUID))
    data = _encoded(made)
    try:
        result = _store(trials, data, place)
    except (UnsupportedByServer, NotFound) as error:
        trials.session.learn(store=False)
        trials.say("store", False, f"Uploads are not taken: {error}")
        return
    except DicomdockError as error:
        trials.say("store", False, f"The upload of a test object failed: {error}")
        return
    stored = result.status in ("stored", "warning")
    try:
        if stored:
            trials.session.learn(store=True)
            trials.say("store", True, "Uploads are taken.")
            _there(trials, place)
            _back(trials, data, place)
            _again(trials, data, place)
            made.SeriesDescription = "Changed"
            _overwritten(trials, _encoded(made), place)
        else:
            trials.say("store", False, f"The test object was not taken: {result.status}, {result.reason}.")
    finally:
        if stored or result.status == "unconfirmed":
            _gone(trials, place)


def _made() -> Dataset:
    """Make a small image of nobody, with new UIDs."""
    from pydicom.dataset import Dataset, FileMetaDataset
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


def _store(trials: Trials, data: bytes, place: Resource) -> StoreResult:
    part = Part("application/dicom", lambda: iter([data]), length=len(data), resource=place)
    (result,) = store.store(trials.session, [part])
    return result


def _there(trials: Trials, place: Resource) -> None:
    try:
        found = retrieve.exists(trials.session, place)
    except DicomdockError:
        found = False
    words = "found at once" if found else "not found at once; it may take a moment to be listed"
    trials.say("indexed", found, f"What was uploaded is {words}.")


def _back(trials: Trials, data: bytes, place: Resource) -> None:
    back = _retrieved(trials, place)
    if back is None:
        trials.say("round-trip", False, "What was uploaded could not be retrieved.")
    elif back == data:
        trials.say("round-trip", True, "What was uploaded comes back byte for byte.")
    elif _data_set(back) == _data_set(data):
        trials.say(
            "round-trip", True, "What was uploaded comes back with its data set, in a file of its own."
        )
    else:
        trials.say("round-trip", False, "What was uploaded comes back changed.")


def _retrieved(trials: Trials, place: Resource) -> bytes | None:
    try:
        return b"".join(chunk for part in retrieve.retrieve(trials.session, place) for chunk in part.chunks())
    except DicomdockError:
        return None


def _data_set(data: bytes) -> bytes:
    """Give what follows the file meta information (PS3.10 §7.1), whose length is its first element."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


def _again(trials: Trials, data: bytes, place: Resource) -> None:
    try:
        result = _store(trials, data, place)
    except DicomdockError as error:
        trials.say("duplicates", False, f"The same object a second time made the upload fail: {error}")
        return
    told = result.status == "duplicate"
    words = {
        "duplicate": "is told to be there already",
        "failed": "is refused without saying that it is there already",
    }.get(result.status, "is answered like a new one")
    trials.say("duplicates", told, f"The same object a second time {words}.")


def _overwritten(trials: Trials, changed: bytes, place: Resource) -> None:
    with contextlib.suppress(DicomdockError):  # what counts is what is there now
        _store(trials, changed, place)
    back = _retrieved(trials, place)
    if back is None:
        return
    replaced = _data_set(back) == _data_set(changed)
    words = "replaces the first copy" if replaced else "is passed over: the first copy stays"
    trials.say("overwrites", replaced, f"Another object under the same UID {words}.")


def _gone(trials: Trials, place: Resource) -> None:
    """Delete the study, and make sure; tell its UID where it stays."""
    study = Resource(place.study)
    stays = f"the test study of patient {PATIENT} stays there: {place.study}"
    try:
        delete.delete(trials.session, study)
    except UnsupportedByServer:
        trials.say("delete", False, f"Studies cannot be deleted; {stays}.")
        return
    except DicomdockError as error:
        trials.say("delete", False, f"Deleting failed ({error}); {stays}.")
        return
    try:
        gone = not retrieve.exists(trials.session, study)
    except TransactionError:
        gone = True
    words = (
        "Studies can be deleted, as the test study was."
        if gone
        else f"Deleting takes a while; {stays} until then."
    )
    trials.say("delete", gone or None, words)
