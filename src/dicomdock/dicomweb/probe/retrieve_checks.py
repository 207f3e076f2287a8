"""The trials of a probe that retrieve: one instance, its series and study, metadata and pictures.

References
----------
PS3.18 §10.4 (Retrieve).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dicomdock.dicom import identity
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import rendered, retrieve
from dicomdock.errors import DicomdockError, RemoteNotFound, TransactionError, UnsupportedByServer

if TYPE_CHECKING:
    from dicomdock.dicomweb.probe.runner import Trials


def try_out(trials: Trials, instance: Resource) -> None:
    """Retrieve an instance in every way; streams are closed as soon as the first part begins."""
    session = trials.session
    head = _head(trials, instance)
    works = head is not None
    form = retrieve.FORMS[session.forms["instance"]] if works and "instance" in session.forms else None
    if form is None:
        words = "Instances come by WADO-URI." if works else "Instances cannot be retrieved."
        trials.say("instance", works, words)
    else:
        kind = "as single files" if form.single else "in multipart answers"
        trials.say("instance", True, f"Instances can be retrieved, {kind}.")
        session.learn(any_transfer_syntax=form.any_transfer_syntax, single_part=form.single)
        trials.say(
            "as-stored",
            form.any_transfer_syntax,
            "Instances come as stored."
            if form.any_transfer_syntax
            else "The server does not promise to send instances as stored; it may rewrite them.",
        )
    if syntax := identity.transfer_syntax(head or b""):
        trials.say("transfer-syntax", True, f"The instance tried came as {_name(syntax)}.")
    if works:
        _groups(trials, instance)
    _pictures(trials, instance)


def _name(syntax: str) -> str:
    from pydicom.uid import UID

    return str(UID(syntax).name)


def _groups(trials: Trials, instance: Resource) -> None:
    series = Resource(instance.study, instance.series)
    for level, place in (("series", series), ("study", Resource(instance.study))):
        if _head(trials, place) is not None:
            trials.session.learn(retrieve_level=level)
            trials.say(f"retrieve-{level}", True, f"A {level} comes in one stream.")
            continue
        if level == "series":
            trials.session.learn(retrieve_level="instance")
        trials.say(
            f"retrieve-{level}",
            False,
            f"A {level} does not come in one stream; dicomdock fetches what is below.",
        )
        return


def _head(trials: Trials, place: Resource) -> bytes | None:
    """Give the first bytes of the first part of a resource; None where it cannot be retrieved."""
    session = trials.session
    with contextlib.suppress(DicomdockError):
        answer = retrieve.ask(session, place)
        if isinstance(answer, TransactionError):
            if place.level != "instance" or not session.dialect.wado_uri:
                return None
            answer = retrieve.by_uri(session, place, RemoteNotFound("not found", status=404))
        with contextlib.closing(answer) as parts:
            return bytes(next(next(parts).chunks(), b""))
    return None


def _pictures(trials: Trials, instance: Resource) -> None:
    """Try metadata, a rendered picture and a thumbnail of the instance."""
    session = trials.session
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
        words = {True: "can be had", False: "cannot be had", None: "could not be had of the instance tried"}
        trials.say(topic, works, f"{name} {words[works]}.")
