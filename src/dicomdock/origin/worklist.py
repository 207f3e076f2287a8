"""UPS-RS: the work list of the archive.

The Transaction UID is the lock of a work item: it appears in no answer, error or log.

References
----------
PS3.18 §11 (worklist service); PS3.4 Annex CC (unified procedure step service).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.archive import Archive
from dicomdock.archive.index.engine import Index
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.json_model import DicomJson, text, values
from dicomdock.dicom.media_types import DICOM_JSON
from dicomdock.dicom.query import Query
from dicomdock.dicom.uid import check_uid
from dicomdock.errors import (
    DicomdockError,
    Forbidden,
    InvalidInput,
    NotAcceptable,
    Unreachable,
    UnsupportedByServer,
)
from dicomdock.origin.context import Origin, accept_of, check_not_encoded
from dicomdock.origin.data_sets import answer, wanted_form
from dicomdock.origin.granted import Granted
from dicomdock.origin.responses import (
    CHARACTER_SET,
    UTF_8,
    in_thread,
    sentence,
    too_many_clients,
    warning_header,
)
from dicomdock.web.media_type import MediaType
from dicomdock.worklist.data_set import read_data_set
from dicomdock.worklist.procedure_step import ProcedureStep
from dicomdock.worklist.refusals import Reason, Remark, StepRefused
from dicomdock.worklist.requirements import RETURNED, State
from dicomdock.worklist.store import MAX_STEP, ProcedureSteps, StepTooLarge, hours

MAX_READ = 16 * MAX_STEP  # bytes of a body that are read at all
CREATION_NAMES = ("workitem", "affectedsopinstanceuid", "00001000")  # in the query; the UID alone as well
TRANSACTION_NAMES = ("transactionuid", "00081195")
# Texts of the Warning header that the standard lays down (PS3.18 §11.4.3.2, §11.6.3.2, §11.7.3.2, §11.8.3.2).
CREATED_MODIFIED = "The Workitem was created with modifications."
NOT_CLAIMED = "The target URI did not reference a claimed Workitem."
INCONSISTENT_UPDATE = "The submitted request is inconsistent with the current state of the Workitem."
UID_MISSING = "The Transaction UID is missing."
UID_INCORRECT = "The Transaction UID is incorrect."
INCONSISTENT_STATE = "The submitted request is inconsistent with the state of the UPS Instance."
REMARKS: Mapping[Remark, str] = MappingProxyType(
    {
        Remark.ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED.",
        Remark.ALREADY_COMPLETED: "The UPS is already in the requested state of COMPLETED.",
    }
)
NOT_CANCELED: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.ALREADY_COMPLETED: "The UPS is already COMPLETED.",
        Reason.NOBODY_TO_NOTIFY: "The performer cannot be contacted.",
    }
)
_BAD_REQUESTS = (Reason.WRONG_TRANSACTION_UID, Reason.SCHEDULED_BY_CREATION_ONLY)


async def search(origin: Origin, request: Request) -> Response:
    """Search for work items; 204 where there is none."""
    form = wanted_form(accept_of(request), "Work items")
    # What a match is does not matter to how the parameters are read.
    query = Query.from_params("instances", request.query_params.multi_items())
    warnings = ["Work items are not sorted; they come by UID."] if query.order else []

    def answered() -> Response:
        found = (_shown(_chosen(step, query)) for step in _steps(origin).search(query))
        headers = warning_header(warnings)
        first = next(found, None)
        if first is None:
            return Response(status_code=204, headers=headers)
        return answer(chain((first,), found), form, headers=headers, flow=origin.flow)

    return await in_thread(answered)


async def retrieve(origin: Origin, request: Request) -> Response:
    """Retrieve one work item."""
    form = wanted_form(accept_of(request), "Work items")
    uid = _workitem(request)
    return await in_thread(
        lambda: answer(
            iter([_shown(_steps(origin).retrieve(uid).attributes)]), form, single=True, flow=origin.flow
        )
    )


async def create(origin: Origin, request: Request) -> Response:
    """Create a work item, SCHEDULED."""
    named = _in_query(request, CREATION_NAMES)
    base = origin.base(request)

    def created(steps: ProcedureSteps, attributes: DicomJson) -> Response:
        uid = named or text(attributes, "SOPInstanceUID")
        if not uid:
            raise InvalidInput(
                "The UID of a new work item is a parameter of the request, or its SOP Instance UID."
            )
        step = steps.create(uid, attributes)
        changed = any(
            step.attributes.get(tag) != given for tag, given in attributes.items() if _has_value(given)
        )
        headers = warning_header([CREATED_MODIFIED] if changed else [])
        address = f"{base}/workitems/{step.uid}"
        return Response(
            status_code=201, headers={"Location": address, "Content-Location": address, **headers}
        )

    return await _changed(origin, request, created)


async def update(origin: Origin, request: Request) -> Response:
    """Replace attributes of a work item, by its performer where it is claimed."""
    uid = _workitem(request)
    named = _in_query(request, TRANSACTION_NAMES)

    def updated(steps: ProcedureSteps, attributes: DicomJson) -> Response:
        try:
            steps.update(uid, attributes, named or text(attributes, "TransactionUID"))
        except StepRefused as refused:
            wrong_uid = refused.reason is Reason.WRONG_TRANSACTION_UID
            return _refusal(refused, NOT_CLAIMED if wrong_uid else INCONSISTENT_UPDATE, 400)
        return Response(status_code=200)

    return await _changed(origin, request, updated)


async def change_state(origin: Origin, request: Request) -> Response:
    """Claim, complete or cancel a work item."""
    uid = _workitem(request)

    def changed(steps: ProcedureSteps, attributes: DicomJson) -> Response:
        state, transaction_uid = text(attributes, "ProcedureStepState"), text(attributes, "TransactionUID")
        if values(attributes, "ProcedureStepState") not in [[one] for one in State]:
            raise InvalidInput(
                "The Procedure Step State of the request is not IN PROGRESS, COMPLETED or CANCELED."
            )
        try:
            outcome = steps.change_state(uid, State(state), transaction_uid)
        except StepRefused as refused:
            if refused.reason is not Reason.WRONG_TRANSACTION_UID:
                return _refusal(refused, INCONSISTENT_STATE)
            return _refusal(refused, UID_INCORRECT if transaction_uid else UID_MISSING)
        claimed = State.IN_PROGRESS in outcome.passed
        headers = warning_header([_ends(steps.deadline)]) if claimed and steps.deadline else {}
        return Response(status_code=200, headers={**headers, **_remarked(outcome.remark)})

    return await _changed(origin, request, changed)


async def request_cancellation(origin: Origin, request: Request) -> Response:
    """Cancel a work item that nobody has claimed, or notify who watches it."""
    uid = _workitem(request)

    def requested(steps: ProcedureSteps, attributes: DicomJson) -> Response:
        try:
            outcome = steps.request_cancellation(uid, attributes)
        except StepRefused as refused:
            return _refusal(refused, NOT_CANCELED.get(refused.reason, INCONSISTENT_STATE))
        return Response(status_code=202, headers=_remarked(outcome.remark))

    return await _changed(origin, request, requested, body_optional=True)


async def _changed(
    origin: Origin,
    request: Request,
    change: Callable[[ProcedureSteps, DicomJson], Response],
    *,
    body_optional: bool = False,
) -> Response:
    """Receive the body of a request, within the limits of uploads, and answer with what it changed."""
    _check_form(request, body_optional=body_optional)
    steps = await in_thread(lambda: _steps(origin))
    if not await origin.uploads.admit():
        return too_many_clients()

    def work(blocks: Iterator[bytes]) -> Response:
        try:
            body = _whole(blocks)
        except DicomdockError as error:  # what of the body may still come is of no use
            return sentence(str(error), error.http_status, {"Connection": "close"})
        return change(steps, read_data_set(body))

    return await origin.uploads.store(request.stream(), work)


def worklist_database(origin: Origin) -> Index:
    """Return the database of the work list of what is published.

    Raises
    ------
    Forbidden, UnsupportedByServer
        The request's token is for something else; there is none.
    """
    return _archive(origin).worklist.open()


def _steps(origin: Origin) -> ProcedureSteps:
    seconds = _archive(origin).worklist_deadline
    return ProcedureSteps(worklist_database(origin), deadline=timedelta(seconds=seconds) if seconds else None)


def _archive(origin: Origin) -> Archive:
    source = origin.source()
    if isinstance(source, Granted):
        raise Forbidden("This token is for images; it does not open the work list.")
    if not isinstance(source, Archive):
        raise UnsupportedByServer(
            "This server has no work list: only an archive as it is has one.", feature="UPS-RS"
        )
    return source


def _check_form(request: Request, *, body_optional: bool) -> None:
    check_not_encoded(request)
    content_type = request.headers.get("content-type", "")
    if body_optional and not content_type:
        return
    if MediaType.parse(content_type).essence not in (DICOM_JSON, "application/json"):
        raise NotAcceptable(f"The data set of a work item is accepted as {DICOM_JSON}.", status=415)


def _whole(blocks: Iterator[bytes]) -> bytes:
    """Return the body. Of one that is too large the rest is read, so that the client hears the answer."""
    held: list[bytes] = []
    length = 0
    try:
        for block in blocks:
            length += len(block)
            if length <= MAX_STEP:
                held.append(block)
            elif length > MAX_READ:
                break
    except Unreachable as error:
        raise InvalidInput(str(error)) from None
    if length > MAX_STEP:
        raise StepTooLarge(f"A request about a work item has at most {MAX_STEP >> 20} MB.")
    return b"".join(held)


def _workitem(request: Request) -> str:
    return check_uid(request.path_params["workitem"])


def _in_query(request: Request, names: Sequence[str]) -> str:
    """Return the UID in the query, under one of the names or, as the standard writes it, without a name."""
    for name, value in request.query_params.multi_items():
        if name.lower().replace("-", "") in names and value:
            return value
        if not value and name[:1].isdigit() and "." in name:
            return name
    return ""


def _has_value(attribute: object) -> bool:
    return isinstance(attribute, Mapping) and bool(attribute.get("Value"))


def _chosen(step: ProcedureStep, query: Query) -> DicomJson:
    """Return the attributes of a match: those that each has, those of its keys, those asked for."""
    if "all" in query.fields:
        return step.attributes
    asked = (path.partition(".")[0] for path in (*query.match, *query.fields))
    tags = {tag_of(keyword) for keyword in (*RETURNED, *asked)}
    return {tag: attribute for tag, attribute in step.attributes.items() if tag in tags}


def _shown(attributes: DicomJson) -> DicomJson:
    return {**attributes, CHARACTER_SET: {**UTF_8}}


def _ends(deadline: timedelta) -> str:
    return f"A claim without an update for {hours(deadline)} is canceled, and the work scheduled anew."


def _remarked(remark: Remark | None) -> dict[str, str]:
    return warning_header([REMARKS[remark]] if remark else [])


def _refusal(refused: StepRefused, warning: str, status: int = 0) -> Response:
    status = status or (400 if refused.reason in _BAD_REQUESTS else 409)
    return sentence(str(refused), status, warning_header([warning]))
