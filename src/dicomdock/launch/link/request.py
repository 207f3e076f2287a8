"""LaunchRequest: what a link asks for, and Secret: the token that it brings."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Literal, NoReturn, Self

from dicomdock.dicom.resource import Resource
from dicomdock.web.url import Origin

Format = Literal["slicer", "dicomdock", "weasis", "ohif", "kheops", "iid", "dicomweb"]


class Secret:
    """A token that lives in memory only.

    Neither ``str`` nor ``repr`` shows it, it cannot be pickled, and a copy is the same object; ``reveal`` is
    the one way to the text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, to be put into a request header and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A secret from a link is never written down.")


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What else a link says.

    Parameters
    ----------
    format : which kind of link it was.
    bulk_retrieve : False when the page says that its server cannot send a whole study at once.
    site : origin of the web page that the link is an address of (OHIF, IHE Invoke Image Display); a hint to
        which server is meant, never an address to connect to.
    find : keys, by keyword, that name the studies where no UID does (``AccessionNumber``, ``PatientID``,
        ...).
    most_recent : with ``find``, only so many studies, the latest first; 0 for all.
    token_header : header field that the token belongs in; a Bearer token unless it is another than
        Authorization.
    """

    format: Format
    bulk_retrieve: bool = True
    site: str = ""
    find: tuple[tuple[str, str], ...] = ()
    most_recent: int = 0
    token_header: str = "Authorization"  # noqa: S105 - a name, no secret


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What a link asks for: these resources of that server, with this token.

    Parameters
    ----------
    endpoint : DICOMweb base URL, without a trailing slash; None when the link names no server and one of the
        known ones must be chosen.
    resources : studies or series; empty when the token itself stands for what it opens (Kheops), or when
        ``options.find`` names the studies.
    token : the link's own token, good for the endpoint's origin only.
    options : what else the link says.
    """

    endpoint: str | None
    resources: tuple[Resource, ...]
    token: Secret | None
    options: LaunchOptions

    @property
    def origin(self) -> Origin | None:
        """Scheme, host and port of the endpoint; None without one."""
        return None if self.endpoint is None else Origin.parse(self.endpoint)
