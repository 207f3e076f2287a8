"""Opening a study: in the viewer, as a list of its series, or in 3D Slicer, as the user likes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, cast, get_args
from urllib.parse import quote, urlencode

from dicomdock.resource import Resource

if TYPE_CHECKING:
    from dicomdock.dock.service import Dock

Way = Literal["viewer", "list", "slicer"]
WAYS: Mapping[Way, str] = {
    "viewer": "In the viewer",
    "list": "As a list of its series",
    "slicer": "In 3D Slicer",
}
PREFERENCE = "open"
WHOLE = "study"  # opens the study without naming a series of it


def way(dock: Dock) -> Way:
    """Tell how studies are opened; without a viewer installed, as a list, unless the user chose."""
    chosen = dock.preferences.get(PREFERENCE)
    if chosen in get_args(Way):
        return cast(Way, chosen)
    return "viewer" if dock.viewers.available() else "list"


def address(resource: Resource) -> str:
    """Write the address of a study's page that opens it, or one of its series."""
    return f"/study/{quote(resource.study, safe='')}?{urlencode({'open': resource.series or WHOLE})}"


def warm(dock: Dock) -> None:
    """Have a viewer ready, where studies are opened in it; returns at once."""
    if way(dock) == "viewer":
        dock.viewers.warm()


def slicer_link(dock: Dock, study: str) -> str:
    """Make the link that lets 3D Slicer fetch one study from this dock, within a quarter of an hour.

    References
    ----------
    3D Slicer, Modules/Scripted/DICOM: ``slicer://viewer/?studyUID=...&access_token=...&dicomweb_endpoint=...``
    """
    query = {
        "studyUID": study,
        "access_token": dock.keys.grant(Resource(study)),
        "dicomweb_endpoint": f"{dock.url}/dicom-web",
    }
    return f"slicer://viewer/?{urlencode(query, quote_via=quote, safe='')}"
