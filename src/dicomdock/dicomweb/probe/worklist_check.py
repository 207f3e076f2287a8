"""Whether a server has a work list: a search for one work item (UPS-RS).

References
----------
PS3.18 §11.9 (Search for Workitems).
"""

from __future__ import annotations

from typing import Final

from dicomdock.dicom.json_model import text
from dicomdock.dicomweb.probe.report import Findings
from dicomdock.dicomweb.session import ABSENT, JSON, REFUSED, Session, read_json
from dicomdock.errors import WireError
from dicomdock.web.media_type import MediaType

_ANY: Final = range(400, 600)


def run(session: Session, findings: Findings) -> None:
    """Search for one work item; whatever comes, the probe goes on."""
    has = _has_work_list(session)
    sentence = {
        True: "The server has a work list (UPS-RS).",
        False: "The server has no work list (UPS-RS).",
        None: "Whether the server has a work list (UPS-RS) could not be seen.",
    }
    findings.add("worklist", has, sentence[has])


def _has_work_list(session: Session) -> bool | None:
    what = "the search for work items"
    response = session.http.request(
        "GET", "/workitems", query=[("limit", "1")], accept=JSON, gzip=True, allow=_ANY, what=what
    )
    if response.status >= 400:
        status = response.status
        response.discard()
        return False if status in ABSENT | REFUSED else None
    label = MediaType.parse(response.content_type).essence
    try:
        rows = read_json(response, what)
    except WireError:  # a page, which stands for every address
        return False
    if rows:
        return all(text(row, "ProcedureStepState") for row in rows)
    return True if response.status == 204 or label == JSON else None
