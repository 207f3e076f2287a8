"""DicomSource: the one seam of dicomdock, and the values that pass through it.

A remote server (``dicomweb.Client``) and the local ``archive.Archive`` are both sources; transfers move parts
from one source to another, and the origin server publishes any source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from dicomdock.dicom.json_model import DicomJson as DicomJson
from dicomdock.dicom.json_model import JsonValue as JsonValue
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.web.multipart.part import BodyPart

CHUNK = 1 << 18  # bytes; large enough that per-chunk work vanishes, small enough for constant memory

StoreStatus = Literal["stored", "duplicate", "warning", "failed", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Match:
    """One answer of a search: its attributes in the DICOM JSON model."""

    attributes: DicomJson


@dataclass(frozen=True, slots=True)
class Page:
    """Some matches, as soon as they are known.

    Parameters
    ----------
    matches : in the order of the source.
    more : True or False where the source knows whether further pages follow, else None.
    total : the number of all matches, where the source states it.
    warnings : what the user must know about the answer (truncated, filter ignored), a sentence each.
    """

    matches: tuple[Match, ...]
    more: bool | None = None
    total: int | None = None
    warnings: tuple[str, ...] = ()


def file_chunks(path: Path) -> Iterator[bytes]:
    """Return the bytes of a file, chunk by chunk."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def data_chunks(data: bytes) -> Iterator[bytes]:
    """Return bytes chunk by chunk."""
    view = memoryview(data)
    return (bytes(view[start : start + CHUNK]) for start in range(0, len(view), CHUNK))


def head_of(chunks: Iterator[bytes], size: int) -> bytes:
    """Read the beginning of a stream: whole chunks, until they are so many bytes; less only at its end."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= size:
            break
    return head


def with_head(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a stream whose beginning was read already."""
    if head:
        yield head
    yield from chunks


@dataclass(frozen=True)
class Part:
    """One instance (or frame, or bulk data) on its way, as the bytes it was stored with.

    Parameters
    ----------
    content_type : the media type as received: ``application/dicom; transfer-syntax=1.2.840.10008.1.2.1``.
    opener : gives the body as chunks of bytes. A part from the wire can be opened once and must be used up
        (or closed) before the next part is taken; a part from a file can be opened again and again.
    length : bytes of the body where known beforehand.
    headers : the part's header fields, names in lower case.
    resource : the instance, where known beforehand; a part from the wire usually names it only in its
        bytes.
    path : the file that holds exactly these bytes, where there is one.
    intact : returns whether the file still holds the bytes that were stored; None where there is no record of
        them.
    """

    content_type: str
    opener: Callable[[], Iterator[bytes]]
    length: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    resource: Resource | None = None
    path: Path | None = None
    intact: Callable[[], bool] | None = None

    def chunks(self) -> Iterator[bytes]:
        """Return the body, chunk by chunk."""
        return self.opener()

    @property
    def replayable(self) -> bool:
        """True when ``chunks`` can be called more than once."""
        return self.path is not None

    def with_opener(self, opener: Callable[[], Iterator[bytes]]) -> Part:
        """Return the same part with another opener; ``dataclasses.replace`` costs a small instance more."""
        return Part(
            self.content_type, opener, self.length, self.headers, self.resource, self.path, self.intact
        )

    @classmethod
    def received(cls, part: BodyPart) -> Part:
        """Return a part of a multipart body as a part of a source."""
        return cls(part.content_type, part.opener, part.length, part.headers)

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        resource: Resource | None = None,
        content_type: str = "application/dicom",
        length: int | None = None,
    ) -> Part:
        """Make a part of a file's bytes.

        Parameters
        ----------
        length : bytes of the file, where known; else the file is asked, and must be there.
        """
        size = path.stat().st_size if length is None else length
        return cls(content_type, partial(file_chunks, path), length=size, resource=resource, path=path)


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of one instance of a store transaction.

    Parameters
    ----------
    sop_instance_uid : the instance; empty when it could not even be read.
    status : ``stored``; ``duplicate`` (it was there already, the first copy stays); ``warning`` (stored,
        with a remark); ``failed``; ``unconfirmed`` (the source's answer does not mention it).
    reason_code : Failure Reason (0008,1197) or Warning Reason (0008,1196), where given.
    reason : the same as a sentence, with what the source remarked.
    comments : the source's own remarks (Error Comment, Warning header), as it wrote them.
    attributes : keywords of the attributes that it found fault with.
    resource : the instance as it is stored now, where known.
    sop_class_uid : of the stored instance, where known.
    """

    sop_instance_uid: str
    status: StoreStatus
    reason_code: int | None = None
    reason: str = ""
    comments: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    resource: Resource | None = None
    sop_class_uid: str = ""


class DicomSource(Protocol):
    """What instances can be searched for in, retrieved from and stored to."""

    @property
    def name(self) -> str:
        """The source's name, as shown to the user."""

    def search(self, query: Query) -> Iterator[Page]:
        """Search for studies, series or instances, a page at a time, as fast as the source sends them.

        At least one page is yielded, even when nothing matches. No match appears twice.

        Raises
        ------
        AuthenticationError, Unreachable, TransactionError, WireError
            The source did not answer.
        UnsupportedByServer
            The source cannot search so, and filtering its answer cannot replace it.

        References
        ----------
        PS3.18 §10.6.
        """

    def retrieve(self, resource: Resource) -> Iterator[Part]:
        """Fetch every instance of a study or series, one instance, or frames, as stored.

        Raises
        ------
        NotFound
            Nothing is there.
        AuthenticationError, Unreachable, TransactionError, WireError
            The source did not answer, or its answer ended too early (raised after the parts that came whole).

        References
        ----------
        PS3.18 §10.4.
        """

    def metadata(self, resource: Resource) -> Iterator[DicomJson]:
        """Return the attributes of every instance of a resource, without its bulk data.

        References
        ----------
        PS3.18 §10.4.1.1.2.
        """

    def store(self, parts: Iterable[Part], *, study: str | None = None) -> Iterator[StoreResult]:
        """Store instances and report the outcome of each.

        Parameters
        ----------
        parts : instances; a part that cannot be opened again is held in a temporary file until confirmed.
        study : accept only instances of this study.

        References
        ----------
        PS3.18 §10.5.
        """

    def delete(self, resource: Resource) -> None:
        """Delete a study, series or instance.

        Raises
        ------
        NotFound
            Nothing is there.
        UnsupportedByServer
            The source does not delete at this level.
        """
