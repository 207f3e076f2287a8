"""dicomdock: find, pull, keep, view, segment and send back medical images over DICOMweb.

The names here are the public API; each is imported when it is first used, so that starting stays fast.
"""

from __future__ import annotations

import importlib

from dicomdock.version import __version__ as __version__

TYPE_CHECKING = False  # as type checkers know it; importing typing would take half of what --version takes
if TYPE_CHECKING:
    from dicomdock.api.archive import Archive as Archive
    from dicomdock.api.segmentation import Segmentation as Segmentation
    from dicomdock.api.volume import Volume as Volume
    from dicomdock.config.dialects import Dialect as Dialect
    from dicomdock.config.servers import ServerProfile as ServerProfile
    from dicomdock.config.settings import Settings as Settings
    from dicomdock.dicom.query import Query as Query
    from dicomdock.dicom.resource import Resource as Resource
    from dicomdock.dicomweb import Client as Client
    from dicomdock.dicomweb import connect as connect
    from dicomdock.errors import DicomdockError as DicomdockError
    from dicomdock.imaging.geometry import VolumeGeometry as VolumeGeometry
    from dicomdock.imaging.segmentation import Segment as Segment
    from dicomdock.imaging.terminology import Terminology as Terminology
    from dicomdock.sources import DicomSource as DicomSource
    from dicomdock.sources import Part as Part
    from dicomdock.sources import StoreResult as StoreResult

_HOMES = {
    "Archive": "dicomdock.api.archive",
    "Client": "dicomdock.dicomweb",
    "Dialect": "dicomdock.config.dialects",
    "DicomSource": "dicomdock.sources",
    "DicomdockError": "dicomdock.errors",
    "Part": "dicomdock.sources",
    "Query": "dicomdock.dicom.query",
    "Resource": "dicomdock.dicom.resource",
    "Segment": "dicomdock.imaging.segmentation",
    "Segmentation": "dicomdock.api.segmentation",
    "ServerProfile": "dicomdock.config.servers",
    "Settings": "dicomdock.config.settings",
    "StoreResult": "dicomdock.sources",
    "Terminology": "dicomdock.imaging.terminology",
    "Volume": "dicomdock.api.volume",
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
