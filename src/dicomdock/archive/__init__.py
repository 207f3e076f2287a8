"""The local archive: instances as files, an index of their attributes, and DicomSource over both."""

from dicomdock.archive.answers import Answer as Answer
from dicomdock.archive.archive import Archive as Archive
from dicomdock.archive.catalogue import ArchivedInstance as ArchivedInstance
from dicomdock.archive.catalogue import Summary as Summary
from dicomdock.archive.eviction import Eviction as Eviction
from dicomdock.archive.exporting import Exported as Exported
from dicomdock.archive.importing import ImportProgress as ImportProgress
from dicomdock.archive.recovery import Finding as Finding
from dicomdock.archive.writer import AddResult as AddResult
from dicomdock.archive.writer import ArchiveWriter as ArchiveWriter

__all__ = [
    "AddResult",
    "Answer",
    "Archive",
    "ArchiveWriter",
    "ArchivedInstance",
    "Eviction",
    "Exported",
    "Finding",
    "ImportProgress",
    "Summary",
]
