"""Addresses: what people paste becomes a DICOMweb base URL, and what servers point to is rebuilt below it.

Pure: no request is sent. ``probe.find_base`` tries the candidates.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urljoin

from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, WireError
from dicomdock.web.url import Url, literal, reach

MAX_URL: Final = 4096  # characters
_OTHER_SERVICE = re.compile(r"(?i)(?:wado|stow)(?=(?:-?rs)?(?:/|\Z))")
_SEARCHES = ("/qidors", "/qido-rs", "/qido")  # where a server has an address of each service
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{4,}\Z")
# What stands behind the base in the address of a resource or search.
_RESOURCE_TAIL = re.compile(r"/(studies|series|instances)(/.*)?\Z")
# Pages of Orthanc's own user interface, which is served beside the DICOMweb plugin.
_ORTHANC_PAGE = re.compile(
    r"/(app/explorer\.html|app|ui/app|ui|ohif|stone-webviewer|osimis-viewer|volview)(/.*)?\Z"
)
_VIEWER_PAGE = re.compile(r"/(viewer|segmentation|tmtv|microscopy)(/[a-z]+)?/?\Z")  # OHIF's modes
_KHEOPS_VIEW = re.compile(r"(?P<root>.*)/view/(?P<token>[^/]+)(/.*)?\Z")
_KHEOPS_LINK = re.compile(r"(?P<root>.*)/link/(?P<token>[^/]+)\Z")


@dataclass(frozen=True)
class Repaired:
    """A base URL made of what was pasted.

    Parameters
    ----------
    url : the base URL, without a trailing slash, query or fragment.
    changes : what was changed, a sentence each; empty where nothing was.
    token : the access token that stood in a share link; the login to offer is Bearer.
    resource : the study or series that the pasted address named.
    """

    url: str
    changes: tuple[str, ...] = ()
    token: str = ""
    resource: Resource | None = None

    def __repr__(self) -> str:
        hidden = "***" if self.token else ""
        return f"Repaired({self.url!r}, {self.changes!r}, token={hidden!r}, resource={self.resource!r})"


def repair(pasted: str) -> Repaired:
    """Return the DICOMweb base URL of a pasted address, and what was changed.

    Raises
    ------
    InvalidInput
        It is not an http address, or carries a user name or password.
    """
    text = pasted.strip().strip("<>\"'")
    changes: list[str] = []
    if not text or len(text) > MAX_URL or any(ord(letter) <= 32 or ord(letter) == 127 for letter in text):
        raise InvalidInput("This is not a web address: it is empty, too long or contains blanks.")
    if not _SCHEME.match(text):
        text = f"{_likely_scheme(text)}://{text}"
        changes.append(f"Added {text.partition(':')[0]}:// in front.")
    url = Url.parse(text)
    path = posixpath.normpath(url.path) if url.path not in ("", "/") else ""
    path = "/" + path.strip("/") if path.strip("/") else ""
    path, token, named = _base_path(path, changes)
    if url.query:
        changes.append("Removed the query behind the question mark.")
    if "#" in text:
        changes.append("Removed the part behind the #.")
    return Repaired(f"{url.origin.short}{path}", tuple(changes), token, named)


def _base_path(path: str, changes: list[str]) -> tuple[str, str, Resource | None]:
    token = ""
    named: Resource | None = None
    if match := _KHEOPS_VIEW.match(path):
        path, token = f"{match['root']}/api", _checked_token(match["token"])
        changes.append("Took the Kheops share link apart: its address becomes /api, its token the login.")
    elif match := _ORTHANC_PAGE.search(path):
        path = f"{path[: match.start()]}/dicom-web"
        changes.append("This is a page of Orthanc; its DICOMweb address is /dicom-web.")
    elif match := _VIEWER_PAGE.search(path):
        path = path[: match.start()]
        changes.append(
            "This is the page of a viewer; only the host is used, where the DICOMweb server is looked for."
        )
    elif match := _RESOURCE_TAIL.search(path):
        named = _named(path[match.start() :])
        path = path[: match.start()]
        changes.append("Removed what stands behind the base address, from /" + match[1] + " on.")
    if match := _KHEOPS_LINK.match(path):
        path, token = match["root"], _checked_token(match["token"])
        changes.append("Took the token out of the address: it becomes the login.")
    return path, token, named


def candidates(url: str) -> tuple[str, ...]:
    """Return the base URLs to try for a repaired address, the address itself first.

    A bare host or Orthanc's root is not a DICOMweb base; the usual paths below it are.
    """
    base = Url.parse(url)
    if base.path.strip("/"):
        root = base.origin.short
        # A server with an address of each service is found by the one that searches.
        named = _OTHER_SERVICE.sub(lambda name: "QIDO" if name[0].isupper() else "qido", url.rstrip("/"))
        below = (f"{url}{path}" for path in ("/dicom-web", "/rs", *_SEARCHES))
        return tuple(dict.fromkeys((url, named, *below, f"{root}/dicom-web")))
    usual = ("", "/dicom-web", "/dicomweb", "/dicom", "/api", "/dcm4chee-arc/aets/DCM4CHEE/rs", "/v2")
    return tuple(url.rstrip("/") + path for path in (*usual, *_SEARCHES))


def rebuild(uri: str, base: str, within: Resource | None = None) -> tuple[str, ...]:
    """Return the paths below the base that a RetrieveURL or BulkDataURI can mean, the likeliest first.

    Servers behind a proxy name hosts and ports that are not theirs, and static ones give relative addresses
    whose base is the series or the study. Nothing but a path below ``base`` ever comes out.

    Parameters
    ----------
    uri : as the server gave it, absolute or relative.
    base : the profile's base URL.
    within : the series or instance that the address was found in; relative addresses are resolved against it.

    Raises
    ------
    WireError
        It points to another host and names no resource that could be requested here.

    References
    ----------
    PS3.18 §8.6.2 (bulk data URIs).
    """
    text = uri.strip()
    if not text or len(text) > MAX_URL or any(ord(letter) < 32 for letter in text):
        raise WireError("The server gave an address that is not one.")
    if not _SCHEME.match(text) and not text.startswith("/"):
        return _resolve_relative(text, within)
    try:
        root = Url.parse(base)
        target = root.join(text)
    except InvalidInput as error:
        raise WireError(f"The server points to data at something that is not an address. {error}") from None
    path = posixpath.normpath(target.path or "/")
    prefix = root.path.rstrip("/")
    if path.startswith(prefix + "/") and target.origin == root.origin:
        return (_with_query(path[len(prefix) :], target),)
    if (start := path.find("/studies/")) >= 0:
        return (_with_query(path[start:], target),)
    where = target.origin.short if target.origin != root.origin else path[:80]
    raise WireError(
        f"The server points to data at {where}, outside its own base address; dicomdock does not follow that."
    )


def _resolve_relative(text: str, within: Resource | None) -> tuple[str, ...]:
    if within is None:
        bases = ["/"]
    else:
        series = (
            Resource(within.study, within.series).path
            if within.series
            else f"/studies/{quote(within.study, safe='')}"
        )
        study = f"/studies/{quote(within.study, safe='')}"
        # Builders differ on the base: the folder of the series, of the study, or the metadata itself.
        bases = [f"{series}/", f"{study}/", f"{series}/metadata/", f"{study}/series/"]
    found = [urljoin(f"http://x{base}", text).removeprefix("http://x") for base in bases]
    safe = [path for path in dict.fromkeys(found) if path.startswith("/studies/") and "/../" not in path]
    if not safe:
        raise WireError(
            f"The server gave the relative address {text[:80]!r}, which leads outside its studies."
        )
    return tuple(safe)


def _with_query(path: str, target: Url) -> str:
    return f"{path}?{target.query}" if target.query else path


def _likely_scheme(text: str) -> str:
    authority = re.split(r"[/?#]", text, maxsplit=1)[0]
    end = authority.find("]") if authority.startswith("[") else authority.find(":")
    host = authority[: end if end >= 0 else None].removeprefix("[")
    address = literal(host)
    local = "." not in host if address is None else reach(address) != "public"
    return "http" if local else "https"


def _checked_token(text: str) -> str:
    token = unquote(text)
    if not _TOKEN.match(token):
        raise InvalidInput("The share link's token is not one.")
    return token


def _named(tail: str) -> Resource | None:
    pieces = tail.strip("/").split("/")
    even = pieces[: len(pieces) - len(pieces) % 2][:6]
    try:
        return Resource.parse("/".join(even)) if even and even[0] == "studies" else None
    except InvalidInput:
        return None
