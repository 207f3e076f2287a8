"""Key images: which images of a study matter, and why, as a Key Object Selection document.

References
----------
PS3.3 §A.35.4 (Key Object Selection Document IOD), §C.17.6; PS3.16 TID 2010, CID 7010.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicomdock.dicom.uid import new_uid
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, items, text
from dicomdock.imaging.authoring import MANUFACTURER, Authorship, begin, finish, next_series_number, reference
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.references import references_of, studies_of_references
from dicomdock.imaging.terminology import Code, code_item, code_of

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"

TITLES = {
    code.meaning: code
    for code in (
        Code("113000", "DCM", "Of Interest"),
        Code("113002", "DCM", "For Referring Provider"),
        Code("113003", "DCM", "For Surgery"),
        Code("113004", "DCM", "For Teaching"),
        Code("113005", "DCM", "For Conference"),
        Code("113006", "DCM", "For Therapy"),
        Code("113007", "DCM", "For Patient"),
        Code("113008", "DCM", "For Peer Review"),
        Code("113009", "DCM", "For Research"),
        Code("113018", "DCM", "For Printing"),
    )
}
"""Document titles of CID 7010 that can be chosen, by their meaning."""

OF_INTEREST = TITLES["Of Interest"]

_DESCRIPTION = Code("113012", "DCM", "Key Object Description")
_OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
_DEVICE = Code("121007", "DCM", "Device")
_DEVICE_UID = Code("121012", "DCM", "Device Observer UID")
_DEVICE_NAME = Code("121013", "DCM", "Device Observer Name")
_SOURCE = Code("260753009", "SCT", "Source")
_REFERENCES = ("IMAGE", "COMPOSITE", "WAVEFORM")


@dataclass(frozen=True)
class KeyObject:
    """One object that was selected.

    Parameters
    ----------
    instance : SOP Instance UID.
    frames : 1-based; empty for all of it.
    series, study : UIDs of what holds it; empty where the document does not say.
    """

    instance: str
    frames: tuple[int, ...] = ()
    series: str = ""
    study: str = ""


@dataclass(frozen=True)
class KeyObjects:
    """A selection.

    Parameters
    ----------
    title : what it was made for.
    objects : what was selected, in its order.
    description : in words; may be empty.
    instance : its own SOP Instance UID; empty for a new one.
    """

    title: Code
    objects: tuple[KeyObject, ...]
    description: str = ""
    instance: str = ""


def is_key_objects(header: Dataset) -> bool:
    """Return whether an instance is a Key Object Selection."""
    return text(header, "SOPClassUID") == KEY_OBJECTS


@reading("The key object selection")
def read_key_objects(instance: Instance) -> KeyObjects:
    """Read a Key Object Selection.

    Raises
    ------
    GeometryError
        It is none.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    if not is_key_objects(dataset):
        raise GeometryError("The instance is not a Key Object Selection.", [uid])
    holders = {one: series for series, named in references_of(dataset).items() for one in named}
    studies = studies_of_references(dataset)
    content = items(dataset, "ContentSequence")
    described = (
        text(item, "TextValue")
        for item in content
        if code_of(item, "ConceptNameCodeSequence") == _DESCRIPTION
    )
    objects = []
    for item in content:
        if text(item, "ValueType") not in _REFERENCES:
            continue
        named = first(item, "ReferencedSOPSequence")
        one = text(named, "ReferencedSOPInstanceUID")
        if one:
            series = holders.get(one, "")
            objects.append(KeyObject(one, _frames(named), series, studies.get(series, "")))
    title = code_of(dataset, "ConceptNameCodeSequence") or OF_INTEREST
    return KeyObjects(title, tuple(objects), next(described, ""), uid)


def _frames(item: Dataset | None) -> tuple[int, ...]:
    stated = item.get("ReferencedFrameNumber") if item is not None else None
    if stated is None:
        return ()
    return tuple(int(one) for one in (stated if not isinstance(stated, (int, str)) else [stated]))


def key_objects_to_dicom(
    keys: KeyObjects, sources: Sequence[Dataset], *, authorship: Authorship | None = None
) -> Dataset:
    """Write a Key Object Selection of one study.

    Parameters
    ----------
    sources : the instances that are selected, with or without pixels.

    Raises
    ------
    GeometryError
        Nothing is selected, a source is missing, or sources are of several studies.
    """
    known = {text(one, "SOPInstanceUID"): one for one in sources}
    lost = [one.instance for one in keys.objects if one.instance not in known]
    if lost:
        raise GeometryError("An image that is to be selected is missing.", lost)
    chosen = [known[uid] for uid in dict.fromkeys(one.instance for one in keys.objects)]
    if not chosen:
        raise GeometryError("A selection of no images cannot be written.")
    if len({text(one, "StudyInstanceUID") for one in chosen}) > 1:
        raise GeometryError("Key images of several studies are selected in a document for each study.")
    lead = chosen[0]
    dataset = Dataset()
    described = authorship or Authorship(
        keys.description or keys.title.meaning, next_series_number([lead], offset=700)
    )
    begin(dataset, KEY_OBJECTS, "KO", lead, described)
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(chosen)]
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [code_item(keys.title)]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    dataset.ContentTemplateSequence = [template]
    dataset.ContentSequence = [*_content(keys, known)]
    return finish(dataset)


def _evidence(chosen: Sequence[Dataset]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = chosen[0].StudyInstanceUID
    series: dict[str, Dataset] = {}
    for one in chosen:
        item = series.setdefault(text(one, "SeriesInstanceUID"), Dataset())
        item.SeriesInstanceUID = one.SeriesInstanceUID
        item.ReferencedSOPSequence = [*items(item, "ReferencedSOPSequence"), reference(one)]
    study.ReferencedSeriesSequence = [*series.values()]
    return study


def _content(keys: KeyObjects, known: dict[str, Dataset]) -> Iterator[Dataset]:
    device = _item("HAS OBS CONTEXT", "CODE", _OBSERVER_TYPE)
    device.ConceptCodeSequence = [code_item(_DEVICE)]
    yield device
    identity = _item("HAS OBS CONTEXT", "UIDREF", _DEVICE_UID)
    identity.UID = UID(new_uid())
    yield identity
    name = _item("HAS OBS CONTEXT", "TEXT", _DEVICE_NAME)
    name.TextValue = MANUFACTURER
    yield name
    if keys.description:
        words = _item("CONTAINS", "TEXT", _DESCRIPTION)
        words.TextValue = keys.description
        yield words
    for one in keys.objects:
        source = known[one.instance]
        image = integer(source, "Rows") is not None
        item = _item("CONTAINS", "IMAGE" if image else "COMPOSITE", _SOURCE)
        named = reference(source)
        if one.frames and "NumberOfFrames" in source:
            named.ReferencedFrameNumber = list(one.frames)
        item.ReferencedSOPSequence = [named]
        yield item


def _item(relation: str, kind: str, name: Code) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, kind
    item.ConceptNameCodeSequence = [code_item(name)]
    return item
