"""An archive with a project in it, once for each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from dicomdock.archive import Archive
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.project.model import Project, SegmentTerm, Task
from dicomdock.project.store import Projects
from tests.archive.conftest import archive_settings, new_database, postgresql

__all__ = ["archive_settings", "new_database", "postgresql"]

DEADLINE = 3600.0  # seconds
TASK = Task("segment the liver", "Leave the vessels out.", (SegmentTerm("liver"),))


def items(count: int = 3) -> list[Item]:
    """Series of a cohort, none of them in the archive."""
    return [Item(Resource(f"1.2.{number}", f"1.2.{number}.1")) for number in range(1, count + 1)]


def result(number: int = 1) -> Resource:
    """Name a segmentation."""
    return Resource("1.2.1", "1.2.1.9", f"1.2.1.9.{number}")


@dataclass
class Clock:
    """A clock that tests turn."""

    time: datetime = field(default_factory=lambda: datetime(2026, 1, 2, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def archive(archive_settings: Settings) -> Iterator[Archive]:
    """Yield an empty archive whose work list has a deadline of an hour."""
    with Archive.open(replace(archive_settings, worklist_deadline=DEADLINE)) as opened:
        yield opened


@pytest.fixture
def projects(archive: Archive, clock: Clock) -> Projects:
    """Return the projects of the archive."""
    return Projects(archive, clock)


@pytest.fixture
def make(projects: Projects) -> Callable[..., Project]:
    """Return a function that makes a project of anna and bert, who annotate, and rita, who reviews."""

    def make(name: str = "livers", count: int = 3, **rules: object) -> Project:
        people = {"annotators": ("anna", "bert"), "reviewers": ("rita",), "review": True}
        project = Project(name, TASK, "chest", **{**people, **rules})  # type: ignore[arg-type]
        projects.make(project, items(count))
        return project

    return make
