"""Opening a study: in the viewer, as a list of its series, or in 3D Slicer, as the user likes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast, get_args
from urllib.parse import quote, urlencode

from dicomdock.config.preferences import Preferences
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.dock.service import Dock
    from dicomdock.sources import DicomJson

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
    """Write the address that opens a study, or one of its series, in the way the user likes."""
    series = f"?{urlencode({'series': resource.series})}" if resource.series else ""
    return f"/open/{quote(resource.study, safe='')}{series}"


def page(resource: Resource) -> str:
    """Write the address of a study's page, which opens it as soon as some of it is here."""
    return f"/study/{quote(resource.study, safe='')}?{urlencode({'open': resource.series or WHOLE})}"


def in_running_dock(settings: Settings, resource: Resource) -> str:
    """Give an address that works once and opens a study in the dock that runs; empty where none does that.

    A dock that opens studies elsewhere than in the viewer is passed over.
    """
    from dicomdock.launch.handoff import NotRunning, show

    if Preferences(settings).get(PREFERENCE, "viewer") != "viewer":
        return ""
    try:
        root, _, token = show(settings).text.partition("#")
    except NotRunning:
        return ""
    return f"{root.rstrip('/')}{address(resource)}#{token}"


def entrance(dock: Dock, resource: Resource) -> str:
    """Open a study and give where to go: its viewer, or its page where that is to be or has to wait."""
    if (
        way(dock) != "viewer"
        or not dock.viewers.is_ready(resource.study)
        or not is_known(dock, resource.study)
    ):
        return page(resource)
    try:
        return start(dock, resource)
    except DicomdockError:
        return page(resource)  # which tries again, and tells why


def is_known(dock: Dock, study: str) -> bool:
    """Tell whether there is something to show of a study: here, or on its way from a server that has it."""
    if dock.archive.present(Resource(study)):
        return True
    transfer = dock.coming(study)
    return transfer is not None and bool(dock.ahead.series(transfer, study))


def start(dock: Dock, resource: Resource) -> str:
    """Open a study in its viewer and give the address of that; what is still on its way is shown as it comes.

    Raises
    ------
    MissingDependency
        The viewer is not installed.
    ViewerError
        It does not start on this machine.
    """
    transfer = dock.coming(resource.study)
    coming: Sequence[DicomJson] = ()
    if transfer is not None:
        dock.ahead.want(resource)
        coming = dock.ahead.series(transfer, resource.study)
    return dock.viewers.open(resource, pulling=transfer is not None, coming=coming)


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
