"""A work list to take work from: that of the archive, or one of a server by UPS-RS.

References
----------
PS3.18 §11.4 to §11.9.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.query import Query
from dicomdock.dicom.uid import check_uid, new_uid
from dicomdock.dicomweb.search_request import warnings_of
from dicomdock.dicomweb.session import JSON, read_json
from dicomdock.errors import RemoteNotFound, TransactionError, UnsupportedByServer
from dicomdock.worklist.requirements import State
from dicomdock.worklist.store import ProcedureSteps

if TYPE_CHECKING:
    from dicomdock.archive import Archive
    from dicomdock.dicomweb.client import Client

PAGE = 100  # steps that a server is asked for at once
MAX_ANSWER = 1 << 16  # bytes of an answer without a data set
_NO_ROUTE = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class _Document:
    """A data set in DICOM JSON, as the body of a request."""

    content: bytes
    content_type: str = JSON

    @property
    def length(self) -> int:
        return len(self.content)

    def chunks(self) -> Iterator[bytes]:
        yield self.content


class WorkList(Protocol):
    """A list of procedure steps."""

    @property
    def name(self) -> str:
        """The name of the server, or ``local``."""

    def search(self, query: Query) -> Iterator[DicomJson]:
        """Return the steps that match."""

    def retrieve(self, uid: str) -> DicomJson:
        """Return a step."""

    def create(self, attributes: DicomJson, uid: str = "") -> str:
        """Create a step and return its UID."""

    def update(self, uid: str, attributes: DicomJson, transaction_uid: str = "") -> None:
        """Replace attributes of a step."""

    def change_state(self, uid: str, state: State, transaction_uid: str) -> Sequence[str]:
        """Claim, complete or cancel a step; what the list remarks on it."""

    def request_cancellation(self, uid: str, attributes: DicomJson) -> None:
        """Request that a step is canceled that somebody else may have claimed."""


class LocalWorkList:
    """The work list of the archive.

    Parameters
    ----------
    archive : whose it is.
    """

    name = "local"

    def __init__(self, archive: Archive) -> None:
        seconds = archive.worklist_deadline
        deadline = timedelta(seconds=seconds) if seconds else None
        self._steps = ProcedureSteps(archive.worklist.open(), deadline=deadline)

    def search(self, query: Query) -> Iterator[DicomJson]:
        """Return the steps that match."""
        return (step.attributes for step in self._steps.search(query))

    def retrieve(self, uid: str) -> DicomJson:
        """Return a step."""
        return self._steps.retrieve(uid).attributes

    def create(self, attributes: DicomJson, uid: str = "") -> str:
        """Create a step and return its UID."""
        return self._steps.create(uid or text(attributes, "SOPInstanceUID") or new_uid(), attributes).uid

    def update(self, uid: str, attributes: DicomJson, transaction_uid: str = "") -> None:
        """Replace attributes of a step."""
        self._steps.update(uid, attributes, transaction_uid)

    def change_state(self, uid: str, state: State, transaction_uid: str) -> Sequence[str]:
        """Claim, complete or cancel a step."""
        self._steps.change_state(uid, state, transaction_uid)
        return ()

    def request_cancellation(self, uid: str, attributes: DicomJson) -> None:
        """Request that a step is canceled."""
        self._steps.request_cancellation(uid, attributes)


class RemoteWorkList:
    """The work list of a server.

    Parameters
    ----------
    client : of the server.
    """

    def __init__(self, client: Client) -> None:
        self._session = client.session
        self.name = client.name

    def search(self, query: Query) -> Iterator[DicomJson]:
        """Return the steps that match, page by page.

        Raises
        ------
        UnsupportedByServer
            The server has no work list by UPS-RS.
        """
        left, offset, seen = query.limit, query.offset, set[str]()
        while left is None or left > 0:
            asked = replace(query, limit=PAGE if left is None else min(PAGE, left), offset=offset)
            rows = self._page(asked)
            new = [row for row in rows if text(row, "SOPInstanceUID") not in seen]
            yield from new[:left]
            seen.update(text(row, "SOPInstanceUID") for row in new)
            offset += len(rows)
            left = None if left is None else left - len(new)
            if not new or len(rows) < (asked.limit or 0):  # a server may ignore the offset
                return

    def _page(self, query: Query) -> Sequence[DicomJson]:
        try:
            response = self._session.http.request(
                "GET",
                "/workitems",
                query=query.to_params(),
                accept=JSON,
                what="the search for work items",
            )
        except TransactionError as error:
            if error.status not in _NO_ROUTE:
                raise
            raise UnsupportedByServer(
                f"{self.name} has no work list by DICOMweb (UPS-RS).", feature="UPS-RS"
            ) from error
        return read_json(response, "the search for work items")

    def retrieve(self, uid: str) -> DicomJson:
        """Return a step."""
        what = "the retrieval of a work item"
        response = self._session.http.request("GET", f"/workitems/{check_uid(uid)}", accept=JSON, what=what)
        rows = read_json(response, what)
        if len(rows) != 1:
            raise RemoteNotFound(f"{self.name} answered {what} with {len(rows)} data sets, not one.")
        return rows[0]

    def create(self, attributes: DicomJson, uid: str = "") -> str:
        """Create a step and return its UID."""
        uid = check_uid(uid or text(attributes, "SOPInstanceUID") or new_uid())
        self._send("POST", "/workitems", attributes, query=[("workitem", uid)], what="the creation")
        return uid

    def update(self, uid: str, attributes: DicomJson, transaction_uid: str = "") -> None:
        """Replace attributes of a step.

        The Transaction UID goes within the data set, as PS3.4 has it: addresses are written into logs.
        """
        path = f"/workitems/{check_uid(uid)}"
        self._send(
            "POST", path, {**attributes, **_transaction(transaction_uid)}, transaction_uid, what="the update"
        )

    def change_state(self, uid: str, state: State, transaction_uid: str) -> Sequence[str]:
        """Claim, complete or cancel a step; what the server remarks on it."""
        wanted: DicomJson = {
            "00741000": {"vr": "CS", "Value": [state.value]},
            **_transaction(transaction_uid),
        }
        path = f"/workitems/{check_uid(uid)}/state"
        return self._send("PUT", path, wanted, transaction_uid, what=f"the change to {state.value}")

    def request_cancellation(self, uid: str, attributes: DicomJson) -> None:
        """Request that a step is canceled."""
        path = f"/workitems/{check_uid(uid)}/cancelrequest"
        self._send("POST", path, attributes, what="the request to cancel")

    def _send(
        self,
        method: str,
        path: str,
        attributes: DicomJson,
        secret: str = "",
        *,
        query: Sequence[tuple[str, str]] = (),
        what: str,
    ) -> Sequence[str]:
        """Send a data set; the warnings of the answer."""
        with self._session.http.request(
            method,
            path,
            query=query,
            accept=f"{JSON}, */*;q=0.5",
            body=_Document(json.dumps([attributes], ensure_ascii=False).encode()),
            what=f"{what} of a work item",
            secrets=[secret] if secret else [],
        ) as response:
            response.read(MAX_ANSWER)
            return warnings_of(response.warning, self.name)


def _transaction(uid: str) -> DicomJson:
    return {"00081195": {"vr": "UI", "Value": [uid]}} if uid else {}
