"""What every transaction of the origin server needs, and how a request names resources."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request

from dicomdock.dicom import part10
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, InvalidInput, NotAcceptable, NotFound, WireError
from dicomdock.origin.accept import IMPLICIT_LITTLE
from dicomdock.origin.granted import Granted
from dicomdock.origin.responses import Flow
from dicomdock.origin.uploads import Uploads
from dicomdock.origin.workers import Workers
from dicomdock.sources import DicomSource, Part
from dicomdock.web.media_type import MediaType

log = logging.getLogger(__name__)
MAX_FRAMES = 10_000  # numbers in one list of frames


class NoInstance(WireError):
    """A server sent for an instance what is not a DICOM instance."""


@dataclass(frozen=True)
class Origin:
    """An origin server.

    Parameters
    ----------
    source : returns the source that is published; called anew for each request.
    prefix : path of the service below the application's root.
    workers : the processes that decode.
    uploads : what clients are storing.
    flow : what clients are retrieving.
    sends_events : it has event channels for subscribers of work items.
    """

    source: Callable[[], DicomSource]
    prefix: str = "/dicom-web"
    workers: Workers = field(default_factory=Workers)
    uploads: Uploads = field(default_factory=Uploads)
    flow: Flow = field(default_factory=Flow)
    sends_events: bool = False

    def within(self, granted: Resource | None) -> Origin:
        """Return the server as a request sees it whose token opens one resource; None opens all."""
        if granted is None:
            return self
        return replace(self, source=lambda: Granted(self.source(), granted))

    def base(self, request: Request) -> str:
        """Return the absolute address of the service, as this client wrote it.

        Some clients leave the port out of the Host header (dicomweb-client for all but streams). Where
        the name is the very address that they reached, it is put back; behind a proxy the names differ.
        """
        address = request.base_url
        server = request.scope.get("server")
        if server and address.port is None and server[1] not in (None, 80, 443):
            reached = {server[0], "localhost"} if server[0] in ("127.0.0.1", "::1") else {server[0]}
            if address.hostname in reached:
                address = address.replace(port=server[1])
        return str(address).rstrip("/") + self.prefix


def accept_of(request: Request) -> str:
    """Return what the client accepts: the ``accept`` parameter comes before the header (PS3.18 §8.3.3.1)."""
    # "+" stands for itself in a media type, but reads as a blank in a query.
    asked = request.query_params.get("accept", "").replace("dicom json", "dicom+json")
    return asked or ",".join(request.headers.getlist("accept"))


def check_not_encoded(request: Request) -> None:
    """Refuse a body with a content coding (RFC 9110 §15.5.16).

    Raises
    ------
    NotAcceptable
    """
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() not in ("", "identity"):
        raise NotAcceptable(
            f"The request's body is encoded as {coding[:40]}; send it without a Content-Encoding.", status=415
        )


def resource_of(request: Request) -> Resource:
    """Return the resource that the request's path names.

    Raises
    ------
    InvalidInput
        A UID or frame number is not one.
    """
    named = request.path_params
    return Resource(
        named["study"],
        named.get("series"),
        named.get("instance"),
        frames=_frame_numbers(named.get("frames", "")),
    )


def _frame_numbers(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    numbers = text.split(",")
    if len(numbers) > MAX_FRAMES or not all(
        number.isascii() and number.isdigit() and len(number) < 10 for number in numbers
    ):
        raise InvalidInput(f"{text[:60]!r} is not a list of frame numbers.")
    return tuple(map(int, numbers))


def known_parts(
    source: DicomSource, resource: Resource
) -> tuple[Sequence[Part] | Iterator[Part], DamagedInstances | None]:
    """Return the parts of a resource, as a list where all lie in files, and which are damaged.

    Raises
    ------
    NotFound
        There are none.
    DamagedInstances
        All are damaged.
    """
    parts = source.retrieve(resource)
    first = next(parts, None)
    if first is None:
        raise NotFound(f"There is nothing at {resource}.")
    if first.path is None:
        return _after(first, parts), None
    known = [first]
    try:
        for part in parts:
            known.append(part)  # noqa: PERF402 - those before the error count
    except DamagedInstances as damaged:
        return known, damaged
    return known, None


def _after(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest


@contextmanager
def on_disk(part: Part) -> Iterator[Path]:
    """Return the file that holds a part's bytes, a temporary one where there is none.

    Raises
    ------
    NoInstance
        A server sent something else, which may be anything, such as our own request.
    """
    if part.path is not None:
        yield part.path
        return
    with tempfile.NamedTemporaryFile(prefix="dicomdock-", suffix=".dcm") as file:
        for chunk in part.chunks():
            file.write(chunk)
        file.flush()
        path = Path(file.name)
        with path.open("rb") as written:
            if part10.identify_file(written) is None:
                raise NoInstance(
                    f"What was sent for {part.resource or 'an instance'} is not a DICOM instance."
                )
        yield path


def on_disk_each(parts: Iterable[Part], *, strict: bool) -> Generator[tuple[Part, Path]]:
    """Yield parts with the files that hold them until the next one.

    Parameters
    ----------
    strict : raise NoInstance where one is none; else it is left out, and named in the log.
    """
    for part in parts:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(on_disk(part))
            except NoInstance as error:
                if strict:
                    raise
                log.warning("%s", error)
                continue
            yield part, path


@contextmanager
def instance_on_disk(source: DicomSource, resource: Resource) -> Iterator[tuple[Path, str]]:
    """Return the file of one instance, and the transfer syntax it is stored in.

    Raises
    ------
    NotFound
        It is not there.
    """
    whole = Resource(resource.study, resource.series, resource.instance)
    for part in source.retrieve(whole):
        with on_disk(part) as path:
            yield path, transfer_syntax(part, path)
        return
    raise NotFound(f"There is no instance {whole}.")


def transfer_syntax(part: Part, path: Path | None = None) -> str:
    """Return the transfer syntax of a part by its label, else by its file; implicit where neither has it."""
    if named := _labelled_syntax(part.content_type):
        return named
    path = path or part.path
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            return part10.transfer_syntax(file.read(part10.META)) or IMPLICIT_LITTLE
    except OSError:
        return IMPLICIT_LITTLE


@lru_cache(maxsize=64)  # all instances of a series have the same label
def _labelled_syntax(content_type: str) -> str:
    return MediaType.parse(content_type).parameters.get("transfer-syntax", "")
