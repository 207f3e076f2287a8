"""What volumes and segmentations need of the archive that they come from, and how a resource is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias

from dicomdock import archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.sources import Page, Part

if TYPE_CHECKING:  # libraries of images are slow to import
    from pydicom.dataset import Dataset

    from dicomdock.transfer import PushReport


class Home(Protocol):
    """The archive, as a value that was read from it uses it."""

    def present(self, resource: Resource | str) -> set[str]:
        """Return the SOP Instance UIDs of a resource that are in the archive."""

    def retrieve(self, resource: Resource | str) -> Iterator[Part]:
        """Yield the instances of a resource as their files."""

    def search(self, query: Query) -> Iterator[Page]:
        """Yield pages of the studies, series or instances that match."""

    def save_once(self, value: object, make: Callable[[], Sequence[Dataset]], form: str = "") -> Resource:
        """Store what a value is in DICOM, unless it is stored already."""

    def push(self, server: str, *resources: Resource | str) -> PushReport:
        """Send resources to a server."""


class LocalHome(Home, Protocol):
    """The archive, as work on many series uses it."""

    @property
    def local(self) -> archive.Archive:
        """The archive itself."""


OpenArchive: TypeAlias = Callable[[Settings], AbstractContextManager[LocalHome]]
"""Opens an archive, also in another process: it can be pickled."""


def resource_of(given: Resource | str, *levels: str) -> Resource:
    """Return a resource that was given as a value or as text, and refuse one of another level.

    Parameters
    ----------
    levels : ``study``, ``series`` or ``instance``; none for any.

    Raises
    ------
    InvalidInput
        The text is not a resource, or one of another level.
    """
    resource = Resource.parse(given) if isinstance(given, str) else given
    if levels and resource.level not in levels:
        raise InvalidInput(f"{resource} is a {resource.level}; name a {' or '.join(levels)}: STUDY/SERIES.")
    return resource
