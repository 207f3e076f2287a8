"""The local archive: instances as files, an index of their attributes, and DicomSource over both.

The names here are imported when they are first used: who lists needs nothing of importing and exporting.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomdock.archive.adoption import Finding as Finding
    from dicomdock.archive.archive import Archive as Archive
    from dicomdock.archive.eviction import Eviction as Eviction
    from dicomdock.archive.export import Exported as Exported
    from dicomdock.archive.import_progress import ImportProgress as ImportProgress
    from dicomdock.archive.index.queries import ArchivedInstance as ArchivedInstance
    from dicomdock.archive.index.queries import Summary as Summary
    from dicomdock.archive.query_cache import CachedAnswer as CachedAnswer
    from dicomdock.archive.writer import AddResult as AddResult
    from dicomdock.archive.writer import ArchiveWriter as ArchiveWriter

_HOMES = {
    "AddResult": "writer",
    "Archive": "archive",
    "ArchiveWriter": "writer",
    "ArchivedInstance": "index.queries",
    "CachedAnswer": "query_cache",
    "Eviction": "eviction",
    "Exported": "export",
    "Finding": "adoption",
    "ImportProgress": "import_progress",
    "Summary": "index.queries",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
