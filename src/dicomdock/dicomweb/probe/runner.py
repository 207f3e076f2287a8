"""Run a probe: find the base URL of a server, run the checks and report what they found.

References
----------
PS3.18 §10.6 (Search), §10.4 (Retrieve); §8.3.4 for the query parameters tried.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from dicomdock.config import dialects
from dicomdock.config.dialects import Dialect
from dicomdock.dicom.resource import resource_in
from dicomdock.dicomweb import urls
from dicomdock.dicomweb.probe import addresses, retrieve_checks, store_checks, tls, worklist_check
from dicomdock.dicomweb.probe.report import Findings, Report
from dicomdock.dicomweb.probe.search_checks import SearchChecks
from dicomdock.dicomweb.probe.searches import TELLING
from dicomdock.dicomweb.session import JSON, Session, read_json
from dicomdock.errors import (
    AuthenticationError,
    TransactionError,
    Unreachable,
    WireError,
)
from dicomdock.web.media_type import MediaType

if TYPE_CHECKING:
    from dicomdock.dicomweb.client import Client
    from dicomdock.web.transport import Requests, Response

MOST_REQUESTS: Final = 50
MOST_WRITING: Final = 30  # eight of them at a server by the standard; the rest are for other forms and looks


class _Spent(Exception):  # ends the probe, never leaves this module
    """All requests are used up."""


@dataclass
class _Counted:
    """The connection, with the requests counted and bounded."""

    http: Requests
    most: int
    used: int = 0

    def request(self, method: str, path: str, **options: Any) -> Response:
        """Send a request, unless all are used up."""
        if self.used >= self.most:
            raise _Spent
        self.used += 1
        return self.http.request(method, path, **options)

    def wait_when_asked(self) -> None:
        """Let requests wait where the server asks for it."""
        self.http.wait_when_asked()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


def find_base(
    pasted: str | urls.Repaired, connected: Callable[[str], contextlib.AbstractContextManager[Client]]
) -> urls.Repaired:
    """Find the DICOMweb base URL behind a pasted address, by searching one study at each likely address.

    Parameters
    ----------
    pasted : the address as pasted, or already repaired.
    connected : makes the client of a base URL (with the login that is to be tried).

    Raises
    ------
    AuthenticationError
        The server requires a login; no other address is tried then.
    Unreachable
        There is no server.
    WireError
        A server answers, but not by DICOMweb at any of the usual addresses.
    """
    repaired = urls.repair(pasted) if isinstance(pasted, str) else pasted
    tried: list[str] = []
    weak: str | None = None
    for url in urls.candidates(repaired.url):
        with connected(url) as client:
            certain = _speaks_dicomweb(client.session)
        tried.append(url)
        if certain:
            return _moved(repaired, url)
        if certain is None and weak is None:
            weak = url
    if weak is not None:
        return _moved(repaired, weak)
    raise WireError(
        f"There is a server, but no DICOMweb at {', '.join(tried)}; ask its administrator for the base URL."
    )


def _moved(repaired: urls.Repaired, url: str) -> urls.Repaired:
    if url == repaired.url:
        return repaired
    return replace(repaired, url=url, changes=(*repaired.changes, f"Found the DICOMweb base at {url}."))


def _speaks_dicomweb(session: Session) -> bool | None:
    """Return whether a base answers a search; None where an empty answer could come from something else."""
    response = session.http.request(
        "GET",
        session.address("search", "/studies"),
        query=[("limit", "1")],
        accept=JSON,
        gzip=True,
        allow=TELLING,
        what="the search",
    )
    if not 200 <= response.status < 300:
        response.discard()
        return False
    label = MediaType.parse(response.content_type).essence
    try:
        rows = read_json(response, "the search")
    except WireError:
        return False
    if response.status == 204 or label == JSON or any(resource_in(row) for row in rows):
        return True
    return None if label.endswith("json") else False


def test(client: Client, *, write: bool = False) -> Report:
    """Probe what a server supports, by reading only, with at most ``MOST_REQUESTS`` requests.

    Nothing is raised for what a server does wrong: the report holds it, also when there is no server at all.
    Capabilities that the profile pins stay as they are.

    Parameters
    ----------
    write : store one small synthetic object too, and delete it where the server deletes; this takes up to
        ``MOST_WRITING`` further requests.
    """
    started = time.perf_counter()
    counted = _Counted(client.session.http, MOST_REQUESTS)
    session = Session(counted, client.profile, client.session.settings, dialects.STANDARD)
    findings = Findings()
    error = ""
    try:
        instance = SearchChecks(client.profile, session, findings).run()
        if instance is not None:
            addresses.find(session, findings, instance)
            retrieve_checks.run(session, findings, instance)
        worklist_check.run(session, findings)
    except _Spent:
        findings.add("complete", None, f"Stopped after {MOST_REQUESTS} requests; the rest was not tried.")
    except (Unreachable, AuthenticationError, TransactionError, WireError) as problem:
        error = str(problem)
    if not error:
        findings.found.insert(1, tls.check(client.profile, client.session.settings))
        if write:
            _check_store(session, findings, counted)
        else:
            store_checks.skip(session, findings)
    dialect = _pinned(session.dialect, client.profile.dialect)
    return Report(
        client.name,
        client.profile.url,
        tuple(findings.found),
        dialect,
        _differences(dialect),
        counted.used,
        time.perf_counter() - started,
        error,
        addresses.changed(client.profile, session.profile),
    )


def _check_store(session: Session, findings: Findings, counted: _Counted) -> None:
    counted.most += MOST_WRITING
    try:
        store_checks.run(session, findings)
    except _Spent:
        findings.add(
            "complete",
            None,
            f"Stopped after {MOST_WRITING} requests; look for patient {store_checks.PATIENT}.",
        )


def _pinned(found: Dialect, own: Dialect) -> Dialect:
    """Return the dialect with the capabilities that the user has pinned."""
    names = [item.name for item in fields(own) if item.name in own.pinned]
    return replace(found, pinned=own.pinned, **{name: getattr(own, name) for name in names})


def _differences(dialect: Dialect) -> dict[str, object]:
    known = dialects.BUILT_IN.get(dialect.name, dialects.STANDARD)
    return {
        item.name: getattr(dialect, item.name)
        for item in fields(dialect)
        if getattr(dialect, item.name) != getattr(known, item.name)
    }
