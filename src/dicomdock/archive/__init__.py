"""The local archive: instances as files, an index of their attributes, and DicomSource over both."""

from dicomdock.archive.archive import Archive as Archive
from dicomdock.archive.catalogue import ArchivedInstance as ArchivedInstance
from dicomdock.archive.writer import AddResult as AddResult
from dicomdock.archive.writer import ArchiveWriter as ArchiveWriter

__all__ = ["AddResult", "Archive", "ArchiveWriter", "ArchivedInstance"]
