"""Store the instances of a Store transaction, with an outcome for each.

References
----------
PS3.18 §10.5.3.1 (Store transaction response), Table 10.5.3-2 (failure reasons).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dicomdock.archive.writer import AddResult, ArchiveWriter, UnexpectedInstance
from dicomdock.dicom.header import SOP_CLASS
from dicomdock.dicom.resource import Resource
from dicomdock.errors import ArchiveError, NoSpace, WireError
from dicomdock.sources import Part, StoreResult

BATCH = 256  # instances committed, and reported, at once
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
OUT_OF_RESOURCES = 0xA700
WRONG_STUDY = 0xA900
CANNOT_UNDERSTAND = 0xC000


def store(writer: ArchiveWriter, parts: Iterable[Part], study: Resource | None) -> Iterator[StoreResult]:
    """Add instances and return the outcome of each, once it is certain."""
    pending: list[tuple[AddResult, str]] = []
    for part in parts:
        uid = ""
        try:
            instance_file = writer.receive(part, study)
            uid = instance_file.resource.instance or ""
            pending.append((writer.register(instance_file), instance_file.header.uid(SOP_CLASS)))
        except UnexpectedInstance as error:
            instance = error.resource.instance or ""
            yield StoreResult(instance, "failed", WRONG_STUDY, "It belongs to another study.")
        except WireError as error:
            yield StoreResult("", "failed", CANNOT_UNDERSTAND, str(error))
        except ArchiveError as error:
            yield StoreResult(uid, "failed", _code(error), str(error))
        if len(pending) >= BATCH:
            yield from _committed(writer, pending)
            pending = []
    yield from _committed(writer, pending)


def _committed(writer: ArchiveWriter, pending: list[tuple[AddResult, str]]) -> Iterator[StoreResult]:
    try:
        late = {result.resource: result for result in writer.flush()}
    except ArchiveError as error:
        for result, _ in pending:
            yield StoreResult(result.resource.instance or "", "failed", _code(error), str(error))
        return
    for result, sop_class in pending:
        yield _result(late.get(result.resource, result), sop_class)


def _code(error: ArchiveError) -> int:
    return OUT_OF_RESOURCES if isinstance(error, NoSpace) else PROCESSING_FAILURE


def _result(result: AddResult, sop_class: str) -> StoreResult:
    instance = result.resource.instance or ""
    match result.status:
        case "identical":
            remark = "It was there already."
            return StoreResult(
                instance, "duplicate", None, remark, resource=result.resource, sop_class_uid=sop_class
            )
        case "conflict":
            reason = "An instance with this UID and other content is there; the first one stays."
            return StoreResult(instance, "failed", DUPLICATE_INSTANCE, reason)
        case _:
            return StoreResult(instance, "stored", resource=result.resource, sop_class_uid=sop_class)
