"""``slicer://viewer/?studyUID=...&dicomweb_endpoint=...&access_token=...`` and the same keys in ``dicomdock://``.

3D Slicer 5 opens these links so, and Kheops, Orthanc and dcm4chee make them.

References
----------
3D Slicer, Modules/Scripted/DICOM/DICOM.py, onURLReceived.
"""

from __future__ import annotations

import re

from dicomdock.errors import LaunchError
from dicomdock.launch.link.address import check_address
from dicomdock.launch.link.request import LaunchOptions, LaunchRequest
from dicomdock.launch.link.text import decode, read_query, read_token, read_uids, resources_of

_AUTHORITIES = ("viewer", "open")
_LISTS = ("studyUID", "seriesUID")
_KEYS = frozenset({*_LISTS, "access_token", "bulk_retrieve", "dicomweb_endpoint"})
_NO = re.compile(r"0+|false|no|off", re.IGNORECASE)
_STUDIES = "/studies"  # the list of studies, which some pages give for the base address


def _values(query: str) -> dict[str, str]:
    """Read the keys; where the page encoded its values twice, decode them twice, as 3D Slicer does always."""
    values = read_query(query, lists=_LISTS, only=_KEYS)
    endpoint = values.get("dicomweb_endpoint", "").lower()
    if "://" not in endpoint and "%3a" in endpoint:
        return {key: decode(value) for key, value in values.items()}
    return values


def parse_slicer(link: str) -> LaunchRequest:
    """Read a ``slicer://`` or ``dicomdock://`` link; ``+`` is itself, unknown keys are passed over.

    Raises
    ------
    LaunchError
        It is not for the viewer, names no server or no study, or one of them is malformed.
    """
    scheme, _, rest = link.partition("://")
    place, _, query = rest.partition("?")
    authority = place.split("/", 1)[0].lower()
    if authority not in _AUTHORITIES:
        raise LaunchError(
            "This link is not for the viewer; links that open studies begin with slicer://viewer/?."
        )
    query, _, fragment = query.partition("#")
    if "=" in fragment or "#" in place:  # else it says nothing, and 3D Slicer passes it over too
        raise LaunchError(
            "This link has a '#' before some of its values; it must be written %23 there:"
            " the page that made the link must be corrected."
        )
    values = _values(query)
    if "&amp;" in query and not (values.get("dicomweb_endpoint") and values.get("studyUID")):
        raise LaunchError(
            "This link has '&amp;' between its values, where '&' must stand:"
            " the page that made the link must be corrected."
        )
    if not values.get("dicomweb_endpoint"):
        raise LaunchError(
            "This link names no server; it needs dicomweb_endpoint=, the server's DICOMweb address."
        )
    studies = read_uids(values.get("studyUID", ""), "studyUID")
    if not studies:
        raise LaunchError("This link names no study; it needs studyUID=, the study's Study Instance UID.")
    return LaunchRequest(
        check_address(values["dicomweb_endpoint"], "dicomweb_endpoint").removesuffix(_STUDIES),
        resources_of(studies, read_uids(values.get("seriesUID", ""), "seriesUID")),
        read_token(values.get("access_token", "")),
        LaunchOptions(
            "dicomdock" if scheme.lower() == "dicomdock" else "slicer",
            bulk_retrieve=_NO.fullmatch(values.get("bulk_retrieve", "")) is None,
        ),
    )
