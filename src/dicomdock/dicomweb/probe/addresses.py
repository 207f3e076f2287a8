"""The check of a probe for servers that search, retrieve and store at addresses of their own.

Search answers point to where their studies are retrieved (Retrieve URL); the address of uploads is that of
its neighbours by name, and is taken where the server says that something is there that is not read.

References
----------
PS3.18 §10.6.3 (search responses, Retrieve URL); PS3.3 Table C.12-1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dicomdock.dicom import json_model
from dicomdock.dicom.query import Query
from dicomdock.dicomweb import search
from dicomdock.dicomweb.metadata import request_metadata
from dicomdock.dicomweb.probe.report import SERVICES
from dicomdock.errors import DicomdockError
from dicomdock.web.url import Url

if TYPE_CHECKING:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.dicom.resource import Resource
    from dicomdock.dicomweb.probe.report import Findings
    from dicomdock.dicomweb.session import Session

_SEARCH_NAME: Final = re.compile(r"(?i)qido(?=(-?rs)?\Z)")


def find(session: Session, findings: Findings, instance: Resource) -> None:
    """Find the address of retrieval, where the base has none, and the one of uploads beside it."""
    profile = session.profile
    pointed = "" if profile.retrieve_url else _pointed(session, instance)
    if pointed and not _retrieves(session, instance):
        session.profile = replace(profile, retrieve_url=pointed)
        if _retrieves(session, instance):
            findings.add("retrieve-address", True, f"Instances are retrieved at {pointed}.")
        else:
            session.profile = profile
    if not session.profile.store_url and (beside := _beside(session)):
        session.profile = replace(session.profile, store_url=beside)
        findings.add("store-address", True, f"Instances are stored at {beside}.")


def changed(before: ServerProfile, after: ServerProfile) -> Mapping[str, str]:
    """Return the addresses that were found, by their name in the profile."""
    return {name: getattr(after, name) for name in SERVICES if getattr(after, name) != getattr(before, name)}


def _pointed(session: Session, instance: Resource) -> str:
    """Return the base URL that the Retrieve URL of a study lies below; empty for the profile's own."""
    pages = search.search(session, Query(match={"StudyInstanceUID": instance.study}, limit=1))
    try:
        rows = [match.attributes for page in pages for match in page.matches]
        base = Url.parse(session.profile.url)
        url = Url.parse(json_model.text(rows[0], "RetrieveURL")) if rows else base
    except DicomdockError:
        return ""
    prefix, found, _ = url.path.rpartition("/studies/")
    if not found or url.origin != base.origin or prefix.rstrip("/") == base.path.rstrip("/"):
        return ""
    return f"{base.origin.short}{prefix}"


def _retrieves(session: Session, instance: Resource) -> bool:
    try:
        return bool(request_metadata(session, instance))
    except DicomdockError:
        return False


def _beside(session: Session) -> str:
    """Return the address of uploads, named as the one of searches is; empty where there is no sign of it."""
    own = session.profile.search_url or session.profile.url
    beside = _SEARCH_NAME.sub(lambda name: "STOW" if name[0].isupper() else "stow", own.rstrip("/"))
    if beside == own.rstrip("/"):
        return ""
    try:
        with session.http.request(
            "GET", f"{beside}/studies", allow={405}, what="the address of uploads"
        ) as answer:
            return beside if answer.status == 405 else ""
    except DicomdockError:
        return ""
