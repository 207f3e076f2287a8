"""dicomdock: find, pull, keep, view, segment and send back medical images over DICOMweb.

The names here are the public API; each is imported when it is first used, so that starting stays fast.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as type checkers know it; importing typing would take half of what --version takes
if TYPE_CHECKING:
    from dicomdock.dicomweb import Client as Client
    from dicomdock.dicomweb import connect as connect
    from dicomdock.errors import DicomdockError as DicomdockError
    from dicomdock.imaging.geometry import VolumeGeometry as VolumeGeometry
    from dicomdock.imaging.segmentation import Segment as Segment
    from dicomdock.imaging.terminology import Terminology as Terminology
    from dicomdock.profile import Dialect as Dialect
    from dicomdock.profile import ServerProfile as ServerProfile
    from dicomdock.query import Query as Query
    from dicomdock.resource import Resource as Resource
    from dicomdock.settings import Settings as Settings
    from dicomdock.source import DicomSource as DicomSource
    from dicomdock.source import Part as Part
    from dicomdock.source import StoreResult as StoreResult
    from dicomdock.workbench.archive import Archive as Archive
    from dicomdock.workbench.segmentation import Segmentation as Segmentation
    from dicomdock.workbench.volume import Volume as Volume

__version__ = "0.1.0"

_HOMES = {
    "Archive": "dicomdock.workbench.archive",
    "Client": "dicomdock.dicomweb",
    "Dialect": "dicomdock.profile",
    "DicomSource": "dicomdock.source",
    "DicomdockError": "dicomdock.errors",
    "Part": "dicomdock.source",
    "Query": "dicomdock.query",
    "Resource": "dicomdock.resource",
    "Segment": "dicomdock.imaging.segmentation",
    "Segmentation": "dicomdock.workbench.segmentation",
    "ServerProfile": "dicomdock.profile",
    "Settings": "dicomdock.settings",
    "StoreResult": "dicomdock.source",
    "Terminology": "dicomdock.imaging.terminology",
    "Volume": "dicomdock.workbench.volume",
    "VolumeGeometry": "dicomdock.imaging.geometry",
    "connect": "dicomdock.dicomweb",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(home), name)
