"""The local archive: instances as files, an index of their attributes, and DicomSource over both."""

from dicomdock.archive.adoption import Finding as Finding
from dicomdock.archive.archive import Archive as Archive
from dicomdock.archive.eviction import Eviction as Eviction
from dicomdock.archive.export import Exported as Exported
from dicomdock.archive.index.queries import ArchivedInstance as ArchivedInstance
from dicomdock.archive.index.queries import Summary as Summary
from dicomdock.archive.ingest import ImportProgress as ImportProgress
from dicomdock.archive.query_cache import CachedAnswer as CachedAnswer
from dicomdock.archive.writer import AddResult as AddResult
from dicomdock.archive.writer import ArchiveWriter as ArchiveWriter

__all__ = [
    "AddResult",
    "Archive",
    "ArchiveWriter",
    "ArchivedInstance",
    "CachedAnswer",
    "Eviction",
    "Exported",
    "Finding",
    "ImportProgress",
    "Summary",
]
