"""The check of a probe for servers that search, retrieve and store at addresses of their own.

Search answers point to where their studies are retrieved (Retrieve URL). Of what they point to only the path
counts: servers behind a proxy name schemes, hosts and folders that are not theirs, and a login is sent to one
origin alone. The address of uploads is that of its neighbours by name, and is taken where the server says
that something is there that is not read.

References
----------
PS3.18 §10.6.3 (search responses, Retrieve URL); PS3.3 Table C.12-1.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dicomdock.dicom import json_model
from dicomdock.dicom.query import Query
from dicomdock.dicomweb import search
from dicomdock.dicomweb.metadata import request_metadata
from dicomdock.dicomweb.probe.report import SERVICES
from dicomdock.dicomweb.probe.retrieve_checks import first_bytes
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.web.url import Url

if TYPE_CHECKING:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.dicom.resource import Resource
    from dicomdock.dicomweb.probe.report import Findings
    from dicomdock.dicomweb.session import Session

_SERVICE: Final = re.compile(r"(?i)(?:qido|wado)(?=(?:-?rs)?(?:/|\Z))")
_BELOW: Final = re.compile(r"/(?:studies|series|instances)/")


def find(session: Session, findings: Findings, instance: Resource) -> None:
    """Find the address of retrieval, where the base has none, and the one of uploads beside it."""
    profile = session.profile
    if not profile.retrieve_url and not _describes(session, instance):
        for number, pointed in enumerate(_pointed(session, instance)):
            if not number and first_bytes(session, instance) is not None:
                break  # a server can give instances and no metadata
            session.profile = replace(profile, retrieve_url=pointed)
            if _describes(session, instance) or first_bytes(session, instance) is not None:
                findings.add("retrieve-address", True, f"Instances are retrieved at {pointed}.")
                break
            session.profile = profile
    if not session.profile.store_url and (beside := _beside(session)):
        session.profile = replace(session.profile, store_url=beside)
        findings.add("store-address", True, f"Instances are stored at {beside}.")


def changed(before: ServerProfile, after: ServerProfile) -> Mapping[str, str]:
    """Return the addresses that were found, by their name in the profile."""
    return {name: getattr(after, name) for name in SERVICES if getattr(after, name) != getattr(before, name)}


def _pointed(session: Session, instance: Resource) -> Iterator[str]:
    """Return the base URLs that the Retrieve URLs of an instance can mean, the likeliest first."""
    base = Url.parse(session.profile.search_url or session.profile.url)
    root, own = base.origin.short, base.path.rstrip("/")
    seen = {own}
    for query in _lists(instance):
        for reference in _retrieve_urls(session, query):
            try:
                url = Url.parse(f"{root}{own}/studies").join(reference)
            except InvalidInput:
                continue
            found = _BELOW.search(url.path)
            prefix = posixpath.normpath(url.path[: found.start()] or "/").rstrip("/") if found else own
            beside = f"{posixpath.dirname(own).rstrip('/')}/{posixpath.basename(prefix)}".rstrip("/")
            for path in (prefix, beside):  # the second where a proxy adds a folder
                if path not in seen:
                    seen.add(path)
                    yield f"{root}{path}"


def _lists(instance: Resource) -> Iterator[Query]:
    yield Query(match={"StudyInstanceUID": instance.study}, limit=1)
    yield Query("series", {"StudyInstanceUID": instance.study}, limit=1)
    if instance.series:
        match = {"StudyInstanceUID": instance.study, "SeriesInstanceUID": instance.series}
        yield Query("instances", match, limit=1)


def _retrieve_urls(session: Session, query: Query) -> list[str]:
    try:
        rows = [match.attributes for match in next(search.search(session, query)).matches]
    except DicomdockError:
        return []
    return [found for row in rows[:1] if (found := json_model.text(row, "RetrieveURL"))]


def _describes(session: Session, instance: Resource) -> bool:
    try:
        return bool(request_metadata(session, instance))
    except DicomdockError:
        return False


def _beside(session: Session) -> str:
    """Return the address of uploads, named as the others are; empty where there is no sign of it."""
    profile = session.profile
    for own in filter(None, (profile.search_url or profile.url, profile.retrieve_url)):
        base = Url.parse(own)
        path = base.path.rstrip("/")
        beside = _SERVICE.sub(lambda name: "STOW" if name[0].isupper() else "stow", path)
        if beside == path:
            continue
        url = f"{base.origin.short}{beside}"
        with (
            contextlib.suppress(DicomdockError),
            session.http.request(
                "GET", f"{url}/studies", allow={405}, what="the address of uploads"
            ) as answer,
        ):
            if answer.status == 405:
                return url
    return ""
