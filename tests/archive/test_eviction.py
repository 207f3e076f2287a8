"""What leaves an archive that is too large, and what stays in it."""

from __future__ import annotations

from contextlib import closing

import pytest

from dicomdock.archive import Archive, eviction
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.archive.adding import add, found
from tests.builders import ct_series


@pytest.mark.slow
def test_pins_sending_and_eviction(archive: Archive) -> None:
    pulled, pinned, own, imported = (ct_series(2) for _ in range(4))
    add(archive, *pulled, *pinned, origin="pacs")
    add(archive, *own, made_here=True)
    add(archive, *imported)
    archive.retention.pin(Resource(pinned[0].study))
    add(archive, *(later := ct_series(1, StudyInstanceUID=pinned[0].study)), origin="pacs")
    assert archive.instances(later[0].resource)[0].pinned  # what comes to a pinned study is pinned too
    report = archive.retention.evict(0)
    assert [one.study for one in report.removed] == [pulled[0].study]
    assert report.left == archive.summary().bytes > 0
    archive.retention.record_sent([one.resource for one in imported], "pacs")
    archive.retention.record_sent([one.resource for one in (*imported, *own)], "pacs")
    assert archive.instances(imported[0].resource)[0].sent == ("pacs",)
    assert [one.study for one in archive.retention.evict(0).removed] == [imported[0].study]
    archive.retention.unpin(Resource(pinned[0].study))
    archive.retention.evict(0)
    assert found(archive, "studies") == [own[0].study]
    assert {finding.status for finding in archive.verify()} == {"intact"}
    assert archive.retention.evict().removed == ()


@pytest.mark.slow
def test_eviction_reads_the_instances_of_no_more_series_than_it_removes(
    archive: Archive, archive_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        add(archive, *ct_series(2), origin="pacs")
    asked: list[str] = []
    executed = Connection._executed

    def seen(self, statement, values):
        asked.append(statement)
        return executed(self, statement, values)

    monkeypatch.setattr(Connection, "_executed", seen)
    report = archive.retention.evict(archive.summary().bytes - 1)
    assert len(report.removed) == 1
    assert asked.count(eviction._STILL) == 1
    if archive_settings.database:
        index = Index(archive_settings.database, archive_settings.archive)
        with closing(index), index.reading() as connection:
            plan = connection.column(f"EXPLAIN {eviction._NEXT}", -1.0, 0, eviction.AT_ONCE)
        assert not any("Anti Join" in line for line in plan), plan  # with all instances of the archive


def test_the_least_recently_used_goes_first(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = ct_series(1), ct_series(1)
    for series in (older, newer):
        add(archive, *series, origin="pacs")
    monkeypatch.setattr("dicomdock.archive.eviction.USE_GRAIN", -1.0)
    list(archive.retrieve(older[0].resource))
    report = archive.retention.evict(len(older[0].data))
    assert [one.study for one in report.removed] == [newer[0].study]


def test_a_series_that_is_still_arriving_is_in_use(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    growing, other = ct_series(2), ct_series(1)
    for moment, arrived in enumerate((growing[0], other[0], growing[1])):
        monkeypatch.setattr("dicomdock.archive.index.queries.time.time", lambda moment=moment: 1e9 + moment)
        add(archive, arrived, origin="pacs")
    report = archive.retention.evict(archive.summary().bytes - 1)
    assert [one.study for one in report.removed] == [other[0].study]
