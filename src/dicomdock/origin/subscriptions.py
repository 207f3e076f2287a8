"""UPS-RS subscriptions: who is notified of changes of work items.

References
----------
PS3.18 §11.10 (Subscribe), §11.11 (Unsubscribe), §11.12 (Suspend Global Subscription).
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.uid import check_uid
from dicomdock.errors import InvalidInput, UnsupportedByServer
from dicomdock.origin.context import Origin
from dicomdock.origin.responses import in_thread, sentence, warning_header
from dicomdock.origin.worklist import worklist_database
from dicomdock.worklist.subscribers import Subscribers
from dicomdock.worklist.subscriptions import FILTERED, GLOBAL, check_ae_title

NOT_FILTERED = "Filtered Worklist Subscriptions are not supported."  # the text of the standard


async def subscribe(origin: Origin, request: Request) -> Response:
    """Subscribe to a work item, or to all; the answer names the address of the event channel."""
    _check_sends(origin)
    uid, title = _named(request)
    lock = request.query_params.get("deletionlock", "false").lower()
    if lock not in ("true", "false"):
        raise InvalidInput("The parameter deletionlock is true or false.")
    if uid == FILTERED:
        return sentence(NOT_FILTERED, 403, warning_header([NOT_FILTERED]))
    await in_thread(lambda: Subscribers(worklist_database(origin)).subscribe(title, uid, lock=lock == "true"))
    channel = "ws" + origin.base(request).removeprefix("http")  # https becomes wss
    return Response(
        status_code=201, headers={"Content-Location": f"{channel}/subscribers/{quote(title, safe='')}"}
    )


async def unsubscribe(origin: Origin, request: Request) -> Response:
    """End the subscription to a work item; with the UID of the work list, all of an AE title."""
    _check_sends(origin)
    uid, title = _named(request)
    await in_thread(lambda: Subscribers(worklist_database(origin)).unsubscribe(title, uid))
    return Response(status_code=200)


async def suspend(origin: Origin, request: Request) -> Response:
    """End the subscription to work items to come."""
    _check_sends(origin)
    uid, title = _named(request)
    if uid != GLOBAL:
        raise InvalidInput(f"Only the subscription to the work list, {GLOBAL}, can be suspended.")
    await in_thread(lambda: Subscribers(worklist_database(origin)).suspend(title))
    return Response(status_code=200)


def _named(request: Request) -> tuple[str, str]:
    return check_uid(request.path_params["workitem"]), check_ae_title(request.path_params["aetitle"])


def _check_sends(origin: Origin) -> None:
    if not origin.sends_events:
        raise UnsupportedByServer(
            "This server sends no events; dicomdock serve does.", feature="UPS-RS subscriptions"
        )
