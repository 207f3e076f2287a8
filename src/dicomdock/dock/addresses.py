"""The addresses of the dock's pages, and links from other programs to them."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from dicomdock.config.preferences import Preferences
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

OPEN_PREFERENCE = "open"
"""The preference that says where studies open."""
WHOLE = "study"
"""Opens the study without naming a series of it."""

LIST_ADDRESS = "/?back"
"""The list, of studies or cases, as this tab showed it last (``static/entry.js``)."""


def open_address(resource: Resource) -> str:
    """Return the address that opens a study, or one of its series, where the user prefers."""
    series = f"?{urlencode({'series': resource.series})}" if resource.series else ""
    return f"/open/{quote(resource.study, safe='')}{series}"


def study_address(study: str, source: str = "") -> str:
    """Return the address of a study's page.

    Parameters
    ----------
    source : the server that has the study where the archive has not.
    """
    shown = f"?{urlencode({'source': source})}" if source else ""
    return f"/study/{quote(study, safe='')}{shown}"


def opening_address(resource: Resource) -> str:
    """Return the address of a study's page, which opens the study as soon as some of it has arrived."""
    return f"{study_address(resource.study)}?{urlencode({'open': resource.series or WHOLE})}"


def attributes_address(resource: Resource, source: str) -> str:
    """Return the address of the page with the attributes of a resource of a source."""
    return f"/attributes?{urlencode({'of': str(resource), 'source': source})}"


def in_running_dock(settings: Settings, resource: Resource) -> str:
    """Return an address that works once and opens a study in the running dock; empty where none does that.

    A dock that opens studies elsewhere than in the viewer is not used.
    """
    from dicomdock.launch.handoff import NotRunning, show

    if Preferences(settings).get(OPEN_PREFERENCE, "viewer") != "viewer":
        return ""
    try:
        root, _, token = show(settings).text.partition("#")
    except NotRunning:
        return ""
    return f"{root.rstrip('/')}{open_address(resource)}#{token}"
