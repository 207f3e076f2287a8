"""Session: one server while a client uses it, and what was learned of its dialect on the way.

What is learned is a changed ``Dialect`` (frozen) and the retrieval form that worked; both last as long as the
client. ``probe`` reads them to change the profile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast
from urllib.parse import urljoin

from dicomdock.dicom import json_model, xml_model
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.json_text import REPLACED
from dicomdock.dicom.uid import UID_KEYWORDS, is_uid
from dicomdock.dicomweb.key_checks import KeyChecks
from dicomdock.errors import (
    InflatesTooFar,
    NotAcceptable,
    RemoteNotFound,
    ServerFault,
    TransactionError,
    WireError,
)
from dicomdock.web.content_encoding import DOCUMENT
from dicomdock.web.media_type import MediaType
from dicomdock.web.multipart.reader import read_parts

if TYPE_CHECKING:
    from dicomdock.config.dialects import Dialect
    from dicomdock.config.servers import ServerProfile
    from dicomdock.config.settings import Settings
    from dicomdock.sources import DicomJson
    from dicomdock.web.transport import Requests, Response

log = logging.getLogger(__name__)
T = TypeVar("T")

JSON: Final = "application/dicom+json"
MAX_JSON: Final = 256 << 20  # bytes of one JSON answer; a page or a series' metadata stays far below
_UID_TAGS: Final = tuple(
    map(tag_of, ("SOPClassUID", "AvailableTransferSyntaxUID", *UID_KEYWORDS["instances"]))
)
REFUSED: Final = frozenset({400, 406, 415})  # not in this form
ABSENT: Final = frozenset({404, 405, 410, 501})  # no such object, or no such route


def is_refusal(error: TransactionError) -> bool:
    """Return whether an error means that the server has no such form, route or object; it did not fail."""
    return error.status in REFUSED | ABSENT or isinstance(error, RemoteNotFound | NotAcceptable)


@dataclass
class Session:
    """What the transactions share: the connection, the profile and what was learned.

    Parameters
    ----------
    dialect : the profile's, changed by what the server showed.
    refused_fields : keywords that the server answered with 400 when asked to include them.
    key_checks : which kinds of matching keys were seen to work.
    lists : keyword -> whether a list of several values was seen to find more than one of them.
    root_lists : level -> whether the list over all studies was seen not to be empty without reason.
    forms : level -> index of the retrieval form that worked (``retrieve.FORMS``).
    failing : levels at which the server failed whatever the form.
    patient : requests wait for as long as the server asks for by Retry-After.
    negotiating : held by who looks for the form in which a server does not fail.
    """

    http: Requests
    profile: ServerProfile
    settings: Settings
    dialect: Dialect
    refused_fields: frozenset[str] = frozenset()
    key_checks: KeyChecks = field(default_factory=KeyChecks)
    lists: dict[str, bool] = field(default_factory=dict)
    root_lists: dict[str, bool] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    patient: bool = False
    negotiating: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _gzip: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """The server's name, as shown to the user."""
        return self.profile.name

    def address(self, service: Literal["search", "retrieve", "store"], path: str) -> str:
        """Return where a path below the base lies, for servers with an address of each service."""
        base = {
            "search": self.profile.search_url,
            "retrieve": self.profile.retrieve_url,
            "store": self.profile.store_url,
        }[service]
        return base.rstrip("/") + path if base else path

    @property
    def uri_service(self) -> str:
        """The address of WADO-URI, which often lies beside the base URL."""
        return urljoin(f"{self.profile.url}/", self.dialect.wado_uri).rstrip("/")

    def asking_gzip(self, ask: Callable[[bool], T]) -> T:
        """Run a request for JSON, and again without compression where that unpacks too far to be trusted.

        Parameters
        ----------
        ask : sends the request and reads its answer; True lets the server compress.
        """
        if self._gzip:
            try:
                return ask(True)
            except InflatesTooFar:
                self._gzip = False
        return ask(False)

    def learn(self, **capabilities: object) -> None:
        """Change the dialect by what the server has shown."""
        with self._lock:
            self.dialect = replace(self.dialect, **capabilities)  # type: ignore[arg-type]

    def refuse_fields(self, keywords: frozenset[str]) -> None:
        """Remember fields that the server refuses in includefield."""
        with self._lock:
            self.refused_fields |= keywords


def read_json(response: Response, what: str) -> list[DicomJson]:
    """Return the data sets of a JSON answer; 204 and an empty body are an empty list."""
    rows, foreign = read_rows(response, what)
    if foreign:
        log.warning("%s: characters that are not UTF-8 were %s", what, foreign)
    return rows


def read_rows(response: Response, what: str) -> tuple[list[DicomJson], str]:
    """Return the data sets of a JSON answer, and what was done with characters that are not UTF-8.

    Values are data and left as they are. Where the answer holds the login, it is masked in all of them.
    """
    with response:
        if response.status == 204:
            return [], ""
        body = response.read(MAX_JSON, DOCUMENT, detect=True)
        rows, reading = _parsed(body, response.content_type, what)
    if response.repeats_secret(body):
        return [_masked(row, response.redact) for row in rows], reading
    for row in rows:
        _mask_uids(row, response)
    return rows, reading


def _masked(value: T, redact: Callable[[str], str]) -> T:
    """Return a value of JSON without the login, in names of attributes too."""
    masked: object = value
    if isinstance(value, str):
        masked = redact(value)
    elif isinstance(value, list):
        masked = [_masked(item, redact) for item in value]
    elif isinstance(value, dict):
        masked = {redact(name): _masked(item, redact) for name, item in value.items()}
    return cast(T, masked)


def _mask_uids(row: DicomJson, response: Response) -> None:
    """Take the login out of what stands in the place of UIDs: one that cannot be used is named."""
    for tag in _UID_TAGS:
        element = row.get(tag)
        values = element.get("Value") if isinstance(element, dict) else None
        if isinstance(values, list):
            values[:] = [
                response.redact(value) if isinstance(value, str) and not is_uid(value) else value
                for value in values
            ]


def _parsed(body: bytes, content_type: str, what: str) -> tuple[list[DicomJson], str]:
    label = MediaType.parse(content_type).essence
    if label.startswith("multipart/") and body.lstrip().startswith(b"--"):  # older servers, as XML
        parts = read_parts([body], content_type)
        return [row for part in parts for row in _rows_of(b"".join(part.chunks()), what)], ""
    if xml_model.is_xml(body, ""):
        return _rows_of(body, what), ""
    rows, reading = json_model.parse_read(body, content_type, what=what)
    return rows, reading if reading in ("", REPLACED) else f"read as {reading}"


def _rows_of(body: bytes, what: str) -> list[DicomJson]:
    """Return the data sets of one part, in XML or JSON."""
    text = body.lstrip(b" \t\r\n\xef\xbb\xbf")
    if not text.startswith(b"<"):
        return json_model.parse(text, what=what)
    row = xml_model.from_xml(text, what=what)
    if not row:
        raise WireError(f"The server answered {what} with XML that is not DICOM.")
    return [row]


def failure(response: Response, sentence: str) -> TransactionError:
    """Return the error of an answer that was allowed at first; closes it."""
    excerpt = response.excerpt()
    status = response.status
    kinds = {404: RemoteNotFound, 410: RemoteNotFound, 406: NotAcceptable, 415: NotAcceptable}
    kind = kinds.get(status, ServerFault if status >= 500 or status == 429 else TransactionError)
    detail = f": {excerpt}" if excerpt and status not in ABSENT else ""
    return kind(f"{sentence} (HTTP {status}){detail}.", status=status, url=response.url, body_excerpt=excerpt)
