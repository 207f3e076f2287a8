"""Links from other programs: text -> LaunchRequest, one file for each format.

Everything here is pure: no file, no network, no clock. A link that cannot be used is refused with a
``LaunchError`` whose words are ours alone; no piece of the link is repeated in them, because any piece may
hold its token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dicomdock.errors import LaunchError
from dicomdock.launch.link import web
from dicomdock.launch.link.request import LaunchOptions, LaunchRequest, Secret
from dicomdock.launch.link.slicer import parse_slicer
from dicomdock.launch.link.text import clean_link
from dicomdock.launch.link.weasis import parse_weasis

__all__ = ["LaunchOptions", "LaunchRequest", "Secret", "parse"]

_READERS: Mapping[str, Callable[[str], LaunchRequest]] = MappingProxyType(
    {
        "dicomdock": parse_slicer,
        "slicer": parse_slicer,
        "weasis": parse_weasis,
        "https": web.parse_web,
        "http": web.parse_web,
    }
)


def parse(text: str) -> LaunchRequest:
    """Read a link of any format that we know.

    Percent-encoding is undone once. Blanks around the link and around each of its values are dropped.

    Parameters
    ----------
    text : a ``slicer://``, ``dicomdock://`` or ``weasis://`` link, or the web address of an OHIF viewer, a
        Kheops share link, an IHE Invoke Image Display request or a DICOMweb study; at most 16 kB.

    Raises
    ------
    LaunchError
        The link names no study that we could fetch, or is malformed; the reason says which.
    """
    link = clean_link(text)
    reader = _READERS.get(_scheme(link))
    if reader is None:
        raise LaunchError(
            "This is not a link that dicomdock can open; it opens slicer://, dicomdock:// and weasis:// "
            "links and the addresses of OHIF, Kheops, IHE Invoke Image Display and DICOMweb studies."
        )
    return reader(link)


def _scheme(link: str) -> str:
    return link.partition("://")[0].lower() if "://" in link[:16] else ""
