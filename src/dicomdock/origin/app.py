"""The origin server: its table of transactions, as routes of an application or an application of its own."""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomdock.errors import DicomdockError
from dicomdock.origin import bulkdata, delete, rendered, retrieve, search, store, subscriptions, uri, worklist
from dicomdock.origin.context import Origin
from dicomdock.origin.event_channel import EventChannels
from dicomdock.origin.forwarded import Forwarded, networks
from dicomdock.origin.granted import GRANT
from dicomdock.origin.page_origins import PageOrigins
from dicomdock.origin.paths import Answer, Paths
from dicomdock.origin.responses import Flow, problem, sentence
from dicomdock.origin.uploads import Uploads
from dicomdock.origin.workers import PROCESSES, Workers
from dicomdock.sources import DicomSource

log = logging.getLogger(__name__)

PREFIX = "/dicom-web"
WADO_URI = "/wado"
Endpoint = Callable[[Origin, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction that the server offers.

    Parameters
    ----------
    service : the standard's name for the group.
    method : HTTP method.
    path : below the service's root; ``/wado`` of the URI service is below the application's.
    endpoint : what answers.
    summary : what it does, for the conformance statement.
    """

    service: str
    method: str
    path: str
    endpoint: Endpoint
    summary: str


_STUDY, _SERIES = "/studies/{study}", "/studies/{study}/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_FRAMES = _INSTANCE + "/frames/{frames}"
_WORKITEM = "/workitems/{workitem}"
_SUBSCRIBER = _WORKITEM + "/subscribers/{aetitle}"
EVENT_CHANNEL = "/subscribers/{aetitle}"
_LEVELS = ((_STUDY, "study"), (_SERIES, "series"), (_INSTANCE, "instance"))

TRANSACTIONS: Sequence[Transaction] = (
    Transaction("Search (QIDO-RS)", "GET", "/studies", search.search_studies, "find studies"),
    Transaction("Search (QIDO-RS)", "GET", "/series", search.search_series, "find series of all studies"),
    Transaction(
        "Search (QIDO-RS)", "GET", "/instances", search.search_instances, "find instances of all studies"
    ),
    Transaction(
        "Search (QIDO-RS)", "GET", _STUDY + "/series", search.search_series, "find series of a study"
    ),
    Transaction(
        "Search (QIDO-RS)", "GET", _STUDY + "/instances", search.search_instances, "find instances of a study"
    ),
    Transaction(
        "Search (QIDO-RS)",
        "GET",
        _SERIES + "/instances",
        search.search_instances,
        "find instances of a series",
    ),
    *(
        Transaction("Retrieve (WADO-RS)", "GET", path, retrieve.retrieve, f"the {level}")
        for path, level in _LEVELS
    ),
    *(
        Transaction(
            "Retrieve (WADO-RS)", "GET", path + "/metadata", retrieve.metadata, f"attributes of the {level}"
        )
        for path, level in _LEVELS
    ),
    Transaction("Retrieve (WADO-RS)", "GET", _FRAMES, retrieve.frames, "frames of the instance"),
    Transaction(
        "Retrieve (WADO-RS)",
        "GET",
        _INSTANCE + "/bulk/{value:path}",
        bulkdata.retrieve,
        "one bulk data value",
    ),
    *(
        Transaction(
            "Retrieve (WADO-RS)", "GET", path + "/rendered", rendered.rendered, f"picture of the {level}"
        )
        for path, level in (*_LEVELS, (_FRAMES, "frames"))
    ),
    *(
        Transaction(
            "Retrieve (WADO-RS)",
            "GET",
            path + "/thumbnail",
            rendered.thumbnail,
            f"small picture of the {level}",
        )
        for path, level in (*_LEVELS, (_FRAMES, "frames"))
    ),
    Transaction("Store (STOW-RS)", "POST", "/studies", store.store, "store instances"),
    Transaction("Store (STOW-RS)", "POST", _STUDY, store.store, "store instances of the study only"),
    *(Transaction("Delete", "DELETE", path, delete.delete, f"delete the {level}") for path, level in _LEVELS),
    Transaction("Worklist (UPS-RS)", "GET", "/workitems", worklist.search, "find work items"),
    Transaction("Worklist (UPS-RS)", "POST", "/workitems", worklist.create, "create a work item"),
    Transaction("Worklist (UPS-RS)", "GET", _WORKITEM, worklist.retrieve, "the work item"),
    Transaction("Worklist (UPS-RS)", "POST", _WORKITEM, worklist.update, "update the work item"),
    Transaction("Worklist (UPS-RS)", "PUT", _WORKITEM, worklist.update, "the same, as some clients send it"),
    Transaction(
        "Worklist (UPS-RS)",
        "PUT",
        _WORKITEM + "/state",
        worklist.change_state,
        "claim, complete or cancel it",
    ),
    Transaction(
        "Worklist (UPS-RS)",
        "POST",
        _WORKITEM + "/cancelrequest",
        worklist.request_cancellation,
        "request that it is canceled",
    ),
    Transaction(
        "Worklist (UPS-RS)",
        "POST",
        _SUBSCRIBER,
        subscriptions.subscribe,
        "subscribe to the work item, or to all",
    ),
    Transaction(
        "Worklist (UPS-RS)", "DELETE", _SUBSCRIBER, subscriptions.unsubscribe, "end the subscription"
    ),
    Transaction(
        "Worklist (UPS-RS)",
        "POST",
        _SUBSCRIBER + "/suspend",
        subscriptions.suspend,
        "end the subscription to work items to come",
    ),
    Transaction("URI service (WADO-URI)", "GET", WADO_URI, uri.retrieve_by_uri, "an instance or its picture"),
)


def routes(
    source: Callable[[], DicomSource] | DicomSource,
    *,
    workers: Workers | None = None,
    processes: int = 1,
    channels: bool = False,
) -> list[BaseRoute]:
    """Return the routes of an origin server: everything below ``/dicom-web``, and ``/wado``.

    Parameters
    ----------
    source : what is published, or what returns it for each request.
    workers : the processes that decode; own ones by default, which end with the program.
    processes : that serve side by side, and share the limits.
    channels : whether event channels are opened.
    """
    origin = Origin(
        source if callable(source) else lambda: source,
        PREFIX,
        workers or Workers(),
        Uploads.shared(processes),
        Flow(processes),
        channels,
    )
    by_path: dict[str, dict[str, Endpoint]] = {}
    for transaction in TRANSACTIONS:
        path = (PREFIX if transaction.path != WADO_URI else "") + transaction.path
        by_path.setdefault(path, {})[transaction.method] = transaction.endpoint
    paths = Paths({path: _answering(endpoints, origin) for path, endpoints in by_path.items()})
    if not channels:
        return [paths]
    return [paths, WebSocketRoute(PREFIX + EVENT_CHANNEL, EventChannels(origin))]


def _answering(endpoints: Mapping[str, Endpoint], origin: Origin) -> Mapping[str, Answer]:
    """Return the answer of each method of one path."""
    answers = {method: partial(_answer, endpoint, origin) for method, endpoint in endpoints.items()}
    return {**answers, "HEAD": answers["GET"]} if "GET" in answers else answers


async def _answer(endpoint: Endpoint, origin: Origin, request: Request) -> Response:
    try:
        return await endpoint(origin.within(request.scope.get(GRANT)), request)
    except DicomdockError as error:
        return problem(error)
    except Exception:  # the server's error handler: the client gets a sentence, the log the rest
        log.exception("%s %s failed", request.method, request.url.path)
        return sentence("The server failed on this request; its log says why.", 500)


def create_app(
    source: Callable[[], DicomSource] | DicomSource,
    *,
    token: str | None = None,
    cors: Sequence[str] = (),
    hosts: Sequence[str] = (),
    proxies: Sequence[str] = (),
    read_only: bool = False,
    processes: int = 1,
) -> ASGIApp:
    """Make the application that ``dicomdock serve`` runs.

    Parameters
    ----------
    source : what is published, or what returns it for each request.
    token : ask every client for this Bearer token.
    cors : origins whose web pages may use the server (``https://viewer.example``); ``*`` for all.
    hosts : names in the Host header that are answered; all where none are given. Guards a server on the
        loopback address against pages that let their own name point to it.
    proxies : IP addresses or networks of reverse proxies, which may state the address they were reached by.
    read_only : store, change and delete nothing.
    processes : that serve side by side; each has its part of the limits.
    """
    workers = Workers(max(1, PROCESSES // processes))
    middleware = [Middleware(ResourcePolicy, policy="cross-origin" if cors else "same-origin")]
    if hosts:
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)))
    if cors:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(cors),
                allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
                allow_headers=["Accept", "Authorization", "Content-Type"],
                expose_headers=["Warning", "Content-Length", "Location", "Content-Location"],
            )
        )
    if token:
        middleware.append(Middleware(BearerToken, token=token))
    if read_only:
        middleware.append(Middleware(ReadOnly))
    if proxies:
        middleware.append(Middleware(Forwarded, trusted=networks(proxies)))
    middleware.append(Middleware(PageOrigins, pages=cors))

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        yield
        workers.close()

    # Without Starlette's own layers: the answers of our routes hold every error already.
    app: ASGIApp = Router(
        [Route("/", _greeting), *routes(source, workers=workers, processes=processes, channels=True)],
        lifespan=lifespan,
    )
    for layer, arguments, named in reversed(middleware):
        app = layer(app, *arguments, **named)
    return app


async def _greeting(request: Request) -> Response:
    return sentence(f"dicomdock serves DICOMweb at {str(request.base_url).rstrip('/')}{PREFIX}", 200)


class ResourcePolicy:
    """Keeps pages of other sites from embedding what is served, unless they may use the server.

    References
    ----------
    Fetch Standard, Cross-Origin-Resource-Policy header.
    """

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = [
            (b"cross-origin-resource-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to the answer."""

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        await self._app(scope, receive, secured if scope["type"] == "http" else send)


class ReadOnly:
    """Refuses whatever would store, change or delete (PS3.18 §10.5, §10.8, §11)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            refusal = sentence("This server is for reading only.", 403)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


class BearerToken:
    """Answers only requests that carry the token.

    References
    ----------
    RFC 6750 §2.1.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] in ("http", "websocket") and not self._allowed(scope):
            refusal = sentence("This server asks for a Bearer token.", 401, {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
