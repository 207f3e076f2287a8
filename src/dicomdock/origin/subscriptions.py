"""UPS-RS subscriptions: who is notified of changes of work items.

References
----------
PS3.18 §11.10 (Subscribe), §11.11 (Unsubscribe), §11.12 (Suspend Global Subscription).
"""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.dicom.query import Query
from dicomdock.dicom.uid import check_uid
from dicomdock.errors import InvalidInput, UnsupportedByServer
from dicomdock.origin.context import Origin
from dicomdock.origin.responses import in_thread
from dicomdock.origin.worklist import worklist_database
from dicomdock.worklist.subscribers import Subscribers
from dicomdock.worklist.subscriptions import FILTERED, GLOBAL, check_ae_title

_NEXT_KEY = re.compile(r",(?=[A-Za-z0-9.]+=)")  # a value may hold commas: a list of UIDs


async def subscribe(origin: Origin, request: Request) -> Response:
    """Subscribe to a work item, to all, or to those that match; the answer names the event channel."""
    _check_sends(origin)
    uid, title = _named(request)
    lock = request.query_params.get("deletionlock", "false").lower()
    if lock not in ("true", "false"):
        raise InvalidInput("The parameter deletionlock is true or false.")
    if uid == FILTERED:
        keys = _filter(request)
        await in_thread(
            lambda: Subscribers(worklist_database(origin)).subscribe_filtered(
                title, keys, lock=lock == "true"
            )
        )
    else:
        await in_thread(
            lambda: Subscribers(worklist_database(origin)).subscribe(title, uid, lock=lock == "true")
        )
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
    if uid not in (GLOBAL, FILTERED):
        raise InvalidInput(f"Only a subscription to the work list, {GLOBAL} or {FILTERED}, can be suspended.")
    await in_thread(lambda: Subscribers(worklist_database(origin)).suspend(title))
    return Response(status_code=200)


def _filter(request: Request) -> Query:
    """Read the parameter filter: attributes and values with commas between them (PS3.18 §11.10.1.2.2)."""
    pairs = []
    for one in request.query_params.getlist("filter"):
        for key in _NEXT_KEY.split(one):
            name, equals, value = key.partition("=")
            if not (name and equals and value):
                raise InvalidInput("The parameter filter holds ATTRIBUTE=VALUE, with commas between them.")
            pairs.append((name, value))
    query = Query.from_params("instances", pairs)
    if len(query.match) != len({name for name, _ in pairs}):
        raise InvalidInput("The parameter filter holds attributes of work items alone.")
    return query


def _named(request: Request) -> tuple[str, str]:
    return check_uid(request.path_params["workitem"]), check_ae_title(request.path_params["aetitle"])


def _check_sends(origin: Origin) -> None:
    if not origin.sends_events:
        raise UnsupportedByServer(
            "This server sends no events; dicomdock serve does.", feature="UPS-RS subscriptions"
        )
