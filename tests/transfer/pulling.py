"""What the tests of a pull compare: what came, what the archive holds, what was requested."""

from __future__ import annotations

from collections.abc import Iterable

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.sources import Part
from dicomdock.transfer import PullReport
from tests.builders import Made
from tests.dicomweb.awkward import Awkward


def series_of(instances: list[Made]) -> Resource:
    """Return the series of instances."""
    return Resource(instances[0].study, instances[0].series)


def kept(archive: Archive, resource: Resource) -> dict[str, bytes]:
    """Return the files that an archive has of a resource, by SOP Instance UID."""
    return {one.resource.instance or "": one.path.read_bytes() for one in archive.instances(resource)}


def originals(*series: list[Made]) -> dict[str, bytes]:
    """Return the files as they were made, by SOP Instance UID."""
    return {one.instance: one.data for instances in series for one in instances}


def counts(report: PullReport) -> tuple[int, int, int, int, int]:
    """Return how many were expected, received, skipped, refused and missing."""
    return (
        report.expected,
        report.received,
        report.skipped,
        len(report.failures),
        len(report.missing),
    )


def retrievals(server: Awkward) -> list[str]:
    """Return the paths that instances were requested from."""
    return [one.path for one in server.asked if "multipart" in one.headers.get("Accept", "")]


def archived(archive: Archive, made: Iterable[Made]) -> None:
    """Store instances in an archive."""
    with archive.writer() as writer:
        for one in made:
            writer.add(part_of(one))


def part_of(made: Made) -> Part:
    """Return an instance as it comes from a source."""
    return Part("application/dicom", lambda: iter([made.data]), length=len(made.data))


def requests_of(server: Awkward, path: str) -> int:
    """Count the requests of a path."""
    return sum(one.path.partition("?")[0] == path for one in server.asked)
