"""The checks of a probe that retrieve: one instance, its series and study, metadata and rendered images.

References
----------
PS3.18 §10.4 (Retrieve).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from dicomdock.dicom import part10
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import rendered, retrieve, uri
from dicomdock.errors import DicomdockError, RemoteNotFound, TransactionError, UnsupportedByServer

if TYPE_CHECKING:
    from dicomdock.dicomweb.probe.report import Findings
    from dicomdock.dicomweb.session import Session

_URI_SERVICES: Final = ("../wado", "wado", "../wado-uri", "wado-uri", "./", "../../wado", "/wado")
"""Where WADO-URI is looked for: beside the base URL as at Orthanc, below it as at Kheops, at it, or above."""


def run(session: Session, findings: Findings, instance: Resource) -> None:
    """Retrieve an instance in every form; streams are closed as soon as the first part begins."""
    head = first_bytes(session, instance)
    if head is None and not session.dialect.wado_uri:
        head = _by_uri(session, instance)
    works = head is not None
    session.learn(whole_studies=False)
    form = retrieve.FORMS[session.forms["instance"]] if works and "instance" in session.forms else None
    if not works and (head := first_bytes(session, Resource(instance.study))) is not None:
        session.learn(whole_studies=True, retrieve_level="study")
        findings.add("instance", False, "Series and instances come with their whole study only.")
        findings.add("retrieve-study", True, "A study comes in one stream.")
    elif form is None:
        sentence = "Instances come by WADO-URI." if works else "Instances cannot be retrieved."
        findings.add("instance", works, sentence)
    else:
        kind = "as single files" if form.single else "in multipart answers"
        findings.add("instance", True, f"Instances can be retrieved, {kind}.")
        session.learn(any_transfer_syntax=form.any_transfer_syntax, single_part=form.single)
        findings.add(
            "as-stored",
            form.any_transfer_syntax,
            "Instances come as stored."
            if form.any_transfer_syntax
            else "The server does not promise to send instances as stored; it may rewrite them.",
        )
    if syntax := part10.transfer_syntax(head or b""):
        findings.add("transfer-syntax", True, f"The instance tried came as {_name(syntax)}.")
    if works and form is None:
        session.learn(retrieve_level="instance")
    elif works:
        _check_groups(session, findings, instance)
    _check_images(session, findings, instance)


def _name(syntax: str) -> str:
    from pydicom import uid

    return str(uid.UID(syntax).name)


def _check_groups(session: Session, findings: Findings, instance: Resource) -> None:
    series = Resource(instance.study, instance.series)
    for level, group in (("series", series), ("study", Resource(instance.study))):
        if first_bytes(session, group) is not None:
            session.learn(retrieve_level=level)
            findings.add(f"retrieve-{level}", True, f"A {level} comes in one stream.")
            continue
        if level == "series":
            session.learn(retrieve_level="instance")
        findings.add(
            f"retrieve-{level}",
            False,
            f"A {level} does not come in one stream; dicomdock fetches what is below.",
        )
        return


def first_bytes(session: Session, resource: Resource) -> bytes | None:
    """Return the first bytes of the first part of a resource; None where it cannot be retrieved."""
    with contextlib.suppress(DicomdockError):
        try:
            found = retrieve.open_parts(session, resource)
        except TransactionError as refusal:
            if resource.level != "instance" or not session.dialect.wado_uri:
                return None
            found = uri.retrieve_by_uri(session, resource, refusal)
        with contextlib.closing(found) as parts:
            return bytes(next(next(parts).chunks(), b""))
    return None


def _by_uri(session: Session, instance: Resource) -> bytes | None:
    """Find the address of WADO-URI, and return the first bytes that it gives; None where there is none."""
    refusal = TransactionError(f"{session.name} did not give {instance}.", status=404)
    tried: set[str] = set()
    for path in _URI_SERVICES:
        session.learn(wado_uri=path)
        if session.uri_service in tried:
            continue
        tried.add(session.uri_service)
        found = uri.retrieve_by_uri(session, instance, refusal)
        with contextlib.suppress(DicomdockError, StopIteration), contextlib.closing(found) as parts:
            if head := next(next(parts).chunks(), b""):
                return bytes(head)
    session.learn(wado_uri="")
    return None


def _check_images(session: Session, findings: Findings, instance: Resource) -> None:
    """Request metadata, a rendered image and a thumbnail of the instance."""
    size = [("viewport", "64,64")]
    for topic, name, trial in (
        ("metadata", "Metadata", lambda: next(retrieve.metadata(session, instance), None)),
        (
            "rendered",
            "Rendered pictures",
            lambda: rendered.picture(session, instance, "rendered", size, "image/jpeg"),
        ),
        (
            "thumbnail",
            "Thumbnails",
            lambda: rendered.picture(session, instance, "thumbnail", size, "image/jpeg"),
        ),
    ):
        try:
            works: bool | None = trial() is not None
        except (RemoteNotFound, UnsupportedByServer):
            works = False
        except DicomdockError:
            works = None  # this object may have no picture
        if works is not None:
            session.learn(**{topic: works})
        sentence = {
            True: "are supported",
            False: "are not supported",
            None: "could not be requested of the instance tried",
        }
        findings.add(topic, works, f"{name} {sentence[works]}.")
