"""A Python function on every series of a cohort, in this process or on a cluster: Volume in, anything out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from dicomdock.api.home import LocalHome, OpenArchive
from dicomdock.api.volume import Volume, find_volume
from dicomdock.cohort.state import NOT_PULLED, Outcome
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.sop_classes import kind_of
from dicomdock.errors import DicomdockError, NoSpace

Function: TypeAlias = Callable[[Volume], object]


@dataclass(frozen=True, slots=True)
class Answer(Outcome):
    """What a function returned for a series.

    Parameters
    ----------
    value : that; None where ``state`` is not ``done``. ``result`` has it by name.
    """

    value: object = None


@dataclass(frozen=True)
class MapWork:
    """Calls a function with the volume of one series; safe to use from several threads at once."""

    archive: LocalHome
    function: Function

    def __call__(self, item: Item) -> Answer:
        """Call it; what it raises is the reason of this series.

        Raises
        ------
        NoSpace
            An object of the store cannot be downloaded.
        """
        instances = self.archive.local.instances(item.resource)
        if not instances:
            return Answer(item.resource, "failed", NOT_PULLED)
        if (kind := kind_of(instances[0].sop_class_uid)) != "image":
            return Answer(item.resource, "passed over", f"It holds no images: {kind}.")
        try:
            volume = find_volume(self.archive, item.resource, None)
            value = self.function(volume)
        except NoSpace:
            raise
        except DicomdockError as error:
            return Answer(item.resource, "failed", str(error))
        except Exception as error:  # noqa: BLE001 - whatever the user's function raises
            return Answer(item.resource, "failed", f"{type(error).__name__}: {error}")
        result: dict[str, Any] = dict(value) if isinstance(value, Mapping) else {"value": value}
        return Answer(item.resource, "done", " ".join(volume.remarks), result, value=value)


@contextmanager
def opened(settings: Settings, open_archive: OpenArchive, function: Function) -> Iterator[MapWork]:
    """Open the archive for a function until the block ends: on a worker of a cluster."""
    with open_archive(settings) as archive:
        yield MapWork(archive, function)
