"""Web addresses that stand for studies: OHIF, Kheops share links, IHE Invoke Image Display, DICOMweb."""

from __future__ import annotations

import re

from dicomdock.dicom.resource import Resource
from dicomdock.errors import LaunchError
from dicomdock.launch.link.address import check_address, read_address
from dicomdock.launch.link.iid import parse_iid
from dicomdock.launch.link.request import LaunchOptions, LaunchRequest
from dicomdock.launch.link.text import decode, read_query, read_token, read_uids, resources_of
from dicomdock.web.url import Url

_KHEOPS_VIEW = re.compile(r"(?P<base>.*)/view/(?P<token>[^/]+)/?\Z")
_KHEOPS_LINK = re.compile(r"(?P<base>.*)/link/(?P<token>[^/]+)\Z")
_TOKEN_WITHIN = re.compile(r"/(link|view)/[^/]+/studies(/|\Z)")
_DICOMWEB = re.compile(
    r"(?P<base>.*)/studies/(?P<study>[^/]+)(?:/series/(?P<series>[^/]+)(?:/instances/(?P<instance>[^/]+)(?:/frames/.*)?)?)?"
    r"(?:/(?:series|instances|metadata|rendered|thumbnail))?/?\Z"
)
_OHIF_STUDIES = ("studyinstanceuids", "studyinstanceuid")
_OHIF_SERIES = ("seriesinstanceuids", "seriesinstanceuid")
_OHIF_MANIFESTS = ("dicomjson", "dicomwebproxy", "dicomlocal")


def parse_web(link: str) -> LaunchRequest:
    """Read the address of a study on the web, whichever kind it is.

    Raises
    ------
    LaunchError
        It is none of the kinds we know, or malformed.
    """
    url = read_address(link.replace("^", "%5E").replace("|", "%7C"), "address")
    keys = {pair.partition("=")[0].lower() for pair in (url.query or "").split("&")}
    if "requesttype" in keys:
        return parse_iid(url)
    if keys & {*_OHIF_STUDIES}:
        return _parse_ohif(url)
    base = url.origin.short
    if match := _DICOMWEB.match(url.path):
        return _parse_dicomweb(url, match)
    if match := _KHEOPS_VIEW.match(url.path):
        token = read_token(decode(match["token"]))
        if token is None:
            raise LaunchError(
                "This Kheops link has no token; copy it again from the album or study that is shared."
            )
        return LaunchRequest(check_address(f"{base}{match['base']}/api"), (), token, LaunchOptions("kheops"))
    raise LaunchError(
        "This web address is not of a kind that dicomdock opens: an OHIF viewer with StudyInstanceUIDs, a "
        "Kheops /view/ link, an IHE Invoke Image Display request, or a DICOMweb address with /studies/UID."
    )


def _parse_ohif(url: Url) -> LaunchRequest:
    """Read ``https://host/viewer?StudyInstanceUIDs=A``: it names a page, not a DICOMweb server."""
    segments = [segment.lower() for segment in url.path.split("/")]
    if any(manifest in segments for manifest in _OHIF_MANIFESTS):
        raise LaunchError(
            "This OHIF link reads a manifest of its own; open the study by its DICOMweb address instead."
        )
    query = "&".join(
        key.lower() + equals + value
        for key, equals, value in (pair.partition("=") for pair in (url.query or "").split("&"))
    )
    values = read_query(query, lists=(*_OHIF_STUDIES, *_OHIF_SERIES), plus_is_blank=True)

    def uids(keys: tuple[str, ...]) -> tuple[str, ...]:
        return read_uids(",".join(values.get(key, "") for key in keys), keys[0])

    studies = uids(_OHIF_STUDIES)
    if not studies:
        raise LaunchError("This OHIF link names no study.")
    # A token in such an address is not taken: it belongs to a server that the address does not name.
    options = LaunchOptions("ohif", site=str(url.origin))
    return LaunchRequest(None, resources_of(studies, uids(_OHIF_SERIES)), None, options)


def _parse_dicomweb(url: Url, match: re.Match[str]) -> LaunchRequest:
    """Read ``.../studies/UID[/series/UID[/instances/UID]]``, also below Kheops's ``/link/TOKEN``."""
    token = read_token(read_query(url.query or "").get("access_token", ""))
    root, options = match["base"], LaunchOptions("dicomweb")
    if kheops := _KHEOPS_LINK.match(root):
        root, options = kheops["base"], LaunchOptions("kheops")
        token = read_token(decode(kheops["token"]))
    elif _TOKEN_WITHIN.search(root):
        raise LaunchError(
            "This address has a Kheops token in the middle of its path; copy the link again from Kheops."
        )
    study, series, instance = (
        next(iter(read_uids((match[level] or "").replace(",", "/"), f"{level} UID")), None)
        for level in ("study", "series", "instance")
    )
    if study is None:
        raise LaunchError("This DICOMweb address names no study.")
    resource = Resource(study, series, instance)
    return LaunchRequest(check_address(url.origin.short + root), (resource,), token, options)
